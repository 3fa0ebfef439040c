//! Threads: the only door to rayon in the whole project.
//!
//! A kernel describes work that can be divided ([`Divide`]) and [`divide`] spreads it over the threads of the pool it is
//! called in. How the work is cut never changes a result: each piece computes its elements in the same order whatever
//! the other pieces are. A trainer enters a pool once an epoch ([`Threads::run`]), so that its workers stay awake from
//! step to step.
//!
//! A child forked from a process that has used threads has none of them, so kernels run on the calling thread there. (A
//! child whose parent started rayon's threads, but never had a kernel use them, cannot know; nor can one that was made by a bare
//! system call, past the C library's `fork`.)

use crate::error::Error;
use crate::workspace;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A pool of worker threads, started once.
#[derive(Debug)]
pub struct Threads {
    pool: rayon::ThreadPool,
}

impl Threads {
    /// Starts a pool of `count` threads.
    ///
    /// # Errors
    /// [`Error::Threads`] if `count` is zero or beyond what a pool can have, or the system refuses to start them.
    pub fn new(count: usize) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Threads { requested: count, reason };
        if count == 0 {
            return Err(refuse("at least one thread is needed".into()));
        }
        if count > rayon::max_num_threads() {
            return Err(refuse(format!("a pool has at most {}", rayon::max_num_threads())));
        }
        let builder = rayon::ThreadPoolBuilder::new().num_threads(count);
        let builder = builder.thread_name(|index| format!("lanegrad-{index}")).start_handler(|_| workspace::prepare());
        Ok(Self { pool: builder.build().map_err(|error| refuse(error.to_string()))? })
    }

    /// Runs `work` on a thread of this pool; every kernel in it uses the pool's threads.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Number of threads in this pool.
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }
}

/// Number of threads that a kernel called here would use.
pub fn current() -> usize {
    if ALONE.get() || is_forked() { 1 } else { rayon::current_num_threads() }
}

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, and every kernel in it, on the calling thread alone, whatever pool that belongs to.
pub fn alone<R>(work: impl FnOnce() -> R) -> R {
    /// Restores what was, even if `work` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _restore = Restore(ALONE.replace(true));
    work()
}

/// Whether this process was forked from one whose threads kernels have used: its pool came along, its threads did not.
///
/// The C library says so when it forks; to ask the system takes as long as a small product.
/// Systems that are not named here fork no process with threads, or do not say so.
fn is_forked() -> bool {
    static IS_FORKED: AtomicBool = AtomicBool::new(false);
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    ))]
    {
        use std::sync::Once;
        type Handler = extern "C" fn();
        unsafe extern "C" {
            fn pthread_atfork(
                before: Option<Handler>,
                parent: Option<Handler>,
                child: Option<Handler>,
            ) -> std::ffi::c_int;
        }
        static WATCH: Once = Once::new();
        extern "C" fn note() {
            IS_FORKED.store(true, Ordering::Relaxed);
        }
        WATCH.call_once(|| {
            // SAFETY: this is the function's signature. `note` does what a child may do before anything else, it writes one word,
            // and it stays where it is: code whose threads run is not unloaded. For want of memory alone the call fails; then a
            // child is not known for one.
            unsafe { pthread_atfork(None, None, Some(note)) };
        });
    }
    IS_FORKED.load(Ordering::Relaxed)
}

/// Work over a range of items that can be cut anywhere.
pub trait Divide: Sized + Send {
    /// Number of items.
    fn length(&self) -> usize;
    /// The first `at` items, and the rest.
    fn split(self, at: usize) -> (Self, Self);
    /// Does the work of all items, in order.
    fn run(self);
}

/// The least piece of work that is given to a thread: items that take about ten microseconds together, or more where an item
/// takes longer, or where pieces have to be of certain sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    items: usize,
    /// How many times ten microseconds it takes, about.
    weight: usize,
}

impl From<usize> for Grain {
    /// So many items, which take about ten microseconds.
    fn from(items: usize) -> Self {
        Self { items: items.max(1), weight: 1 }
    }
}

impl Grain {
    /// As many items as cost `worth` or a little more, an item costing `each` and `worth` taking ten microseconds.
    pub fn of(each: usize, worth: usize) -> Self {
        Self { items: worth.div_ceil(each.max(1)).max(1), weight: each.checked_div(worth).unwrap_or(1).max(1) }
    }

    /// No fewer than `items`.
    #[must_use]
    pub fn at_least(self, items: usize) -> Self {
        let items = items.max(self.items);
        Self { items, weight: self.weight.saturating_mul(items / self.items) }
    }

    /// A multiple of `step` items.
    #[must_use]
    pub fn multiple_of(self, step: usize) -> Self {
        self.at_least(self.items.checked_next_multiple_of(step.max(1)).unwrap_or(self.items))
    }

    /// How many items it is.
    pub fn items(self) -> usize {
        self.items
    }
}

/// Does `work` on the threads of the calling pool, in pieces of a multiple of `grain` (but the last).
///
/// Where the pool has one thread, or there is no more than a grain, the work is done on the calling thread, undivided; so is
/// work that takes little longer than to wake a thread, if the others are likely asleep.
pub fn divide<D: Divide>(work: D, grain: impl Into<Grain>) {
    let Grain { items: grain, weight } = grain.into();
    let grains = work.length().div_ceil(grain);
    if grains <= 1 {
        return work.run();
    }
    let threads = current();
    if threads == 1 {
        return work.run();
    }
    if grains.saturating_mul(weight) >= WORTH_WAKING || are_awake() {
        // A few pieces a thread let a thread that was held up be helped by the others.
        conquer(work, grain, grains.min(PIECES_PER_THREAD * threads));
    } else {
        work.run();
    }
    LAST_DIVIDED.set(Some(Instant::now()));
}

/// Tens of microseconds of work that are worth waking a thread: it takes about twenty microseconds.
const WORTH_WAKING: usize = 6;

/// How long idle threads of a pool look for work before they sleep, about.
const AWAKE: Duration = Duration::from_micros(15);

thread_local! {
    /// When this thread last had work that could be divided.
    static LAST_DIVIDED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Whether the other threads are likely awake, or will be if they are woken: where such work comes again and again.
fn are_awake() -> bool {
    LAST_DIVIDED.get().is_some_and(|last| last.elapsed() < AWAKE)
}

const PIECES_PER_THREAD: usize = 4;

fn conquer<D: Divide>(work: D, grain: usize, pieces: usize) {
    let grains = work.length().div_ceil(grain);
    if pieces <= 1 || grains <= 1 {
        return work.run();
    }
    let left_pieces = pieces / 2;
    let left_grains = (grains * left_pieces / pieces).max(1);
    let (left, right) = work.split(left_grains * grain);
    let (mut left, mut right) = (Some(left), Some(right));
    join(&mut || left.take().into_iter().for_each(|left| conquer(left, grain, left_pieces)), &mut || {
        right.take().into_iter().for_each(|right| conquer(right, grain, pieces - left_pieces))
    });
}

/// Does both, the second on another thread if one is free. Compiled once, and not for each kind of work.
#[inline(never)]
fn join(left: &mut (dyn FnMut() + Send), right: &mut (dyn FnMut() + Send)) {
    rayon::join(left, right);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mark<'a>(&'a mut [u32]);

    impl Divide for Mark<'_> {
        fn length(&self) -> usize {
            self.0.len()
        }
        fn split(self, at: usize) -> (Self, Self) {
            let (left, right) = self.0.split_at_mut(at);
            (Mark(left), Mark(right))
        }
        fn run(self) {
            self.0.iter_mut().for_each(|mark| *mark += 1);
        }
    }

    #[test]
    fn every_item_is_done_once() {
        for threads in [1, 2, 3, 7] {
            let pool = Threads::new(threads).unwrap();
            assert_eq!(pool.run(current), threads);
            for length in [0, 1, 2, 5, 64, 1000] {
                for grain in [0, 1, 3, 64, 5000] {
                    let mut marks = vec![0; length];
                    pool.run(|| divide(Mark(&mut marks), grain));
                    assert!(marks.iter().all(|&mark| mark == 1), "{threads} threads, {length} items, grain {grain}");
                }
            }
        }
    }

    #[test]
    fn a_grain_weighs_what_its_items_cost() {
        let grain = |items, weight| Grain { items, weight };
        assert_eq!(Grain::of(10, 100), grain(10, 1));
        assert_eq!(Grain::of(30, 100), grain(4, 1));
        assert_eq!(Grain::of(700, 100), grain(1, 7));
        assert_eq!(Grain::of(0, 100), grain(100, 1));
        assert_eq!(Grain::from(0), grain(1, 1));
        assert_eq!(Grain::of(700, 100).multiple_of(6), grain(6, 42));
        assert_eq!(Grain::of(10, 100).multiple_of(6), grain(12, 1));
        assert_eq!(Grain::of(10, 100).at_least(50), grain(50, 5));
        assert_eq!(Grain::from(usize::MAX).multiple_of(16), grain(usize::MAX, 1));
    }

    /// Which threads do the work; each piece takes long enough for another thread to come and take the next.
    struct Who<'a>(usize, &'a std::sync::Mutex<std::collections::HashSet<std::thread::ThreadId>>);

    impl Divide for Who<'_> {
        fn length(&self) -> usize {
            self.0
        }
        fn split(self, at: usize) -> (Self, Self) {
            (Who(at, self.1), Who(self.0 - at, self.1))
        }
        fn run(self) {
            self.1.lock().unwrap().insert(std::thread::current().id());
            std::thread::sleep(Duration::from_millis(100 * self.0 as u64));
        }
    }

    #[test]
    fn two_large_pieces_wake_a_thread_and_two_small_ones_do_not() {
        let pool = Threads::new(2).unwrap();
        for (weight, threads) in [(1000, 2), (1, 1)] {
            let seen = Default::default();
            pool.run(|| {
                // Long enough for the other thread to sleep.
                std::thread::sleep(Duration::from_millis(5));
                divide(Who(2, &seen), Grain { items: 1, weight });
            });
            assert_eq!(seen.lock().unwrap().len(), threads, "{weight}");
        }
    }

    #[test]
    fn work_can_be_kept_on_its_thread() {
        let pool = Threads::new(3).unwrap();
        pool.run(|| {
            let outer = std::thread::current().id();
            let seen = alone(|| {
                assert_eq!(current(), 1);
                struct Where(usize, std::thread::ThreadId);
                impl Divide for Where {
                    fn length(&self) -> usize {
                        self.0
                    }
                    fn split(self, at: usize) -> (Self, Self) {
                        (Where(at, self.1), Where(self.0 - at, self.1))
                    }
                    fn run(self) {
                        assert_eq!(self.0, 1000, "it is not even cut");
                        assert_eq!(std::thread::current().id(), self.1);
                    }
                }
                divide(Where(1000, outer), 1);
                alone(current)
            });
            assert_eq!((seen, current()), (1, 3));
            assert!(std::panic::catch_unwind(|| alone(|| panic!("on purpose"))).is_err());
            assert_eq!(current(), 3);
        });
    }

    #[test]
    fn a_pool_of_no_threads_is_refused() {
        assert!(matches!(Threads::new(0), Err(Error::Threads { requested: 0, .. })));
        assert!(matches!(Threads::new(1 << 40), Err(Error::Threads { .. })));
    }
}
