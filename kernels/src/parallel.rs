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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::LocalKey;
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
    with(&ALONE, true, work)
}

/// Runs `work` while the thread's `flag` has that value, and restores what it was, even if `work` panics.
fn with<R>(flag: &'static LocalKey<Cell<bool>>, value: bool, work: impl FnOnce() -> R) -> R {
    struct Restore(&'static LocalKey<Cell<bool>>, bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _restore = Restore(flag, flag.replace(value));
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

/// The least work that is given to a thread, about: items that take ten microseconds together, or more where an item takes longer. And
/// where work may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    items: usize,
    /// Pieces have a multiple of so many items.
    step: usize,
    /// How many times ten microseconds `items` take, about.
    weight: usize,
}

impl From<usize> for Grain {
    /// So many items, which take about ten microseconds, and their multiples.
    fn from(items: usize) -> Self {
        Self { items: items.max(1), step: items.max(1), weight: 1 }
    }
}

impl Grain {
    /// As many items as cost `worth` or a little more, an item costing `each` and `worth` taking ten microseconds.
    pub fn of(each: usize, worth: usize) -> Self {
        let items = worth.div_ceil(each.max(1)).max(1);
        Self { items, step: 1, weight: each.checked_div(worth).unwrap_or(1).max(1) }
    }

    /// No fewer than `items`.
    #[must_use]
    pub fn at_least(self, items: usize) -> Self {
        let items = items.max(self.items);
        Self { items, weight: self.weight.saturating_mul(items / self.items), ..self }
    }

    /// In pieces of a multiple of `step` items.
    #[must_use]
    pub fn multiple_of(self, step: usize) -> Self {
        let step = step.max(1);
        Self { step, ..self.at_least(step) }
    }

    /// How many items it is.
    pub fn items(self) -> usize {
        self.items
    }
}

/// Does `work` on the threads of the calling pool, in pieces of a multiple of the grain's step (but the last).
///
/// Where the pool has one thread, or there is no more than a grain, the work is done on the calling thread, undivided; so is
/// work that takes little longer than to wake a thread, if the others are likely asleep.
pub fn divide<D: Divide>(work: D, grain: impl Into<Grain>) {
    let grain = grain.into();
    let length = work.length();
    let grains = length.div_ceil(grain.items);
    if grains <= 1 {
        return work.run();
    }
    let threads = current();
    if threads == 1 {
        return work.run();
    }
    let weight = grains.saturating_mul(grain.weight);
    if weight >= WORTH_WAKING || are_awake() {
        let shares = grains.min(threads).min(length.div_ceil(grain.step));
        let patience = patience(weight / shares);
        Shares { grain, patience, waiting: length.into(), unfinished: length.into() }.conquer(work, shares);
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

/// Work that is cut into shares, one for each thread.
struct Shares {
    grain: Grain,
    /// How long a thread that is done waits for the others at most.
    patience: Duration,
    /// Items that no thread has begun.
    waiting: AtomicUsize,
    /// Items that are not done.
    unfinished: AtomicUsize,
}

/// How long a thread whose share takes `weight` times ten microseconds waits for the others at most: as long as its share takes, and no
/// longer than a millisecond. Short shares are done about as soon.
///
/// To wake a thread takes a tenth of that, but where it wakes is the system's choice. Some virtual machines run a thread that wakes on
/// the processor of the one that woke it, for tens of milliseconds, while the others have nothing to do.
fn patience(weight: usize) -> Duration {
    const LONGEST: usize = 1000;
    let micros = weight.saturating_mul(10).min(LONGEST);
    if micros < 40 { Duration::ZERO } else { Duration::from_micros(micros as u64) }
}

thread_local! {
    /// Whether this thread is in a piece that it does not wait after.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Shares {
    /// Steps of the grain in `work`.
    fn steps<D: Divide>(&self, work: &D) -> usize {
        work.length().div_ceil(self.grain.step)
    }

    /// Cuts work into so many shares, no more than it has steps, and does them.
    fn conquer<D: Divide>(&self, work: D, shares: usize) {
        if shares <= 1 {
            return self.share(work);
        }
        let left_shares = shares / 2;
        let steps = self.steps(&work);
        let left_steps = steps / shares * left_shares + steps % shares * left_shares / shares;
        let (left, right) = work.split(left_steps * self.grain.step);
        both(left, right, |left| self.conquer(left, left_shares), |right| self.conquer(right, shares - left_shares));
    }

    /// Does a share, of which a quarter is left for last: another thread takes that if this one was held up.
    ///
    /// More pieces would read what they have in common more often.
    fn share<D: Divide>(&self, work: D) {
        let steps = self.steps(&work);
        let last = steps / 4;
        if last * self.grain.step < self.grain.items {
            return self.run(work);
        }
        let (most, rest) = work.split((steps - last) * self.grain.step);
        both(most, rest, |most| self.run(most), |rest| self.run(rest));
    }

    /// Does a piece, and then waits a little for those that others are about to finish: a thread that leaves soon sleeps, and the next
    /// work, which often follows at once, would have to wake it. The caller's thread would sleep, too.
    ///
    /// It waits without giving its processor away, which it might get back much later. A piece of this or other work that is done while
    /// another piece of the thread stands still is not waited after.
    fn run<D: Divide>(&self, piece: D) {
        if self.patience.is_zero() {
            return piece.run();
        }
        let items = piece.length();
        self.waiting.fetch_sub(items, Ordering::Relaxed);
        let is_inside = INSIDE.get();
        with(&INSIDE, true, || piece.run());
        self.unfinished.fetch_sub(items, Ordering::Relaxed);
        if is_inside {
            return;
        }
        let start = Instant::now();
        while self.waiting.load(Ordering::Relaxed) == 0
            && self.unfinished.load(Ordering::Relaxed) > 0
            && start.elapsed() < self.patience
        {
            std::hint::spin_loop();
        }
    }
}

/// Does both, each its way, the right one on another thread if one is free.
fn both<D: Divide>(left: D, right: D, do_left: impl Fn(D) + Sync + Send, do_right: impl Fn(D) + Sync + Send) {
    let (mut left, mut right) = (Some(left), Some(right));
    join(&mut || left.take().into_iter().for_each(&do_left), &mut || right.take().into_iter().for_each(&do_right));
}

/// Does both, the second on another thread if one is free. Compiled once, and not for each kind of work.
#[inline(never)]
fn join(left: &mut (dyn FnMut() + Send), right: &mut (dyn FnMut() + Send)) {
    rayon::join(left, right);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;
    use std::sync::Mutex;
    use std::thread::ThreadId;

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

    /// Some of the items of a work: notes what pieces they are done in, and by which threads.
    struct Note<'a, F> {
        range: Range<usize>,
        pieces: &'a Mutex<Vec<(Range<usize>, ThreadId)>>,
        work: &'a F,
    }

    impl<F: Fn(Range<usize>) + Sync> Divide for Note<'_, F> {
        fn length(&self) -> usize {
            self.range.len()
        }
        fn split(self, at: usize) -> (Self, Self) {
            let Range { start, end } = self.range;
            (Note { range: start..start + at, ..self }, Note { range: start + at..end, ..self })
        }
        fn run(self) {
            (self.work)(self.range.clone());
            self.pieces.lock().unwrap().push((self.range, std::thread::current().id()));
        }
    }

    /// The pieces of `length` items on `threads` threads, and who did them, in order.
    fn pieces(
        threads: usize,
        length: usize,
        grain: Grain,
        work: impl Fn(Range<usize>) + Sync,
    ) -> Vec<(Range<usize>, ThreadId)> {
        let pieces = Mutex::default();
        let pool = Threads::new(threads).unwrap();
        pool.run(|| divide(Note { range: 0..length, pieces: &pieces, work: &work }, grain));
        let mut pieces = pieces.into_inner().unwrap();
        pieces.sort_by_key(|(range, _)| range.start);
        pieces
    }

    #[test]
    fn each_thread_has_a_share_in_whole_steps_and_a_quarter_of_it_comes_last() {
        // Heavy enough to wake threads for.
        let grain = |items, step| Grain { items, step, weight: 100 };
        let ends = |threads, length, grain| -> Vec<usize> {
            pieces(threads, length, grain, |_| ()).into_iter().map(|(range, _)| range.end).collect()
        };
        assert_eq!(ends(2, 96, grain(57, 12)), [48, 96]);
        assert_eq!(ends(2, 100, grain(53, 12)), [48, 100]);
        assert_eq!(ends(2, 384, grain(4, 12)), [144, 192, 336, 384]);
        assert_eq!(ends(2, 384, grain(49, 12)), [192, 384], "a quarter is less than a grain");
        assert_eq!(ends(3, 10, grain(1, 1)), [3, 6, 9, 10]);
        assert_eq!(ends(7, 20, grain(1, 12)), [12, 20], "there are no more steps");
        assert_eq!(ends(2, 50, grain(50, 1)), [50]);
    }

    #[test]
    fn the_rest_of_a_share_is_done_by_another_thread_if_its_own_is_held_up() {
        let held_up = |range: Range<usize>| {
            std::thread::sleep(Duration::from_millis(if range.start == 0 { 300 } else { 1 }));
        };
        let done = pieces(2, 8, Grain { items: 1, step: 1, weight: 100 }, held_up);
        let [(first, slow), (rest, other), ..] = &done[..] else { panic!("{done:?}") };
        assert_eq!((first, rest), (&(0..3), &(3..4)));
        assert_ne!(slow, other);
    }

    #[test]
    fn a_piece_that_panics_is_not_waited_for_long() {
        let start = Instant::now();
        let work = |range: Range<usize>| assert_ne!(range.start, 0, "on purpose");
        let result = std::panic::catch_unwind(|| pieces(2, 8, Grain { items: 1, step: 1, weight: 100 }, work));
        assert!(result.is_err());
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    /// Work of two items that may be waited after for so long.
    fn two_items(patience: Duration) -> Shares {
        Shares { grain: 1.into(), patience, waiting: 2.into(), unfinished: 2.into() }
    }

    /// How long it takes to do one of them.
    fn time_of_one(shares: &Shares) -> Duration {
        let mut mark = [0];
        let start = Instant::now();
        shares.run(Mark(&mut mark));
        assert_eq!(mark, [1]);
        start.elapsed()
    }

    #[test]
    fn who_is_done_waits_for_a_piece_that_another_thread_is_at() {
        let patience = Duration::from_secs(600);
        let shares = two_items(patience);
        shares.waiting.store(1, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                shares.unfinished.fetch_sub(1, Ordering::Relaxed);
            });
            let waited = time_of_one(&shares);
            assert!(other.is_finished() || shares.unfinished.load(Ordering::Relaxed) == 0);
            assert!(waited < patience);
        });
    }

    #[test]
    fn nobody_waits_longer_than_their_patience() {
        let shares = two_items(Duration::from_millis(20));
        shares.waiting.store(1, Ordering::Relaxed);
        assert!(time_of_one(&shares) >= shares.patience);
    }

    #[test]
    fn nobody_waits_while_a_piece_is_left_to_do_or_inside_another_piece() {
        let shares = two_items(Duration::from_secs(600));
        assert!(time_of_one(&shares) < shares.patience, "one piece is left");
        shares.waiting.store(1, Ordering::Relaxed);
        shares.unfinished.store(2, Ordering::Relaxed);
        let inside = with(&INSIDE, true, || time_of_one(&shares));
        assert!(inside < shares.patience);
        assert!(!INSIDE.get());
    }

    #[test]
    fn a_short_share_is_not_worth_waiting_for_the_others() {
        assert_eq!([0, 3].map(patience), [Duration::ZERO; 2]);
        assert_eq!([4, 20, 100, usize::MAX].map(|weight| patience(weight).as_micros()), [40, 200, 1000, 1000]);
    }

    #[test]
    fn a_grain_weighs_what_its_items_cost() {
        let grain = |items, step, weight| Grain { items, step, weight };
        assert_eq!(Grain::of(10, 100), grain(10, 1, 1));
        assert_eq!(Grain::of(30, 100), grain(4, 1, 1));
        assert_eq!(Grain::of(700, 100), grain(1, 1, 7));
        assert_eq!(Grain::of(0, 100), grain(100, 1, 1));
        assert_eq!(Grain::from(0), grain(1, 1, 1));
        assert_eq!(Grain::from(64), grain(64, 64, 1));
        assert_eq!(Grain::of(700, 100).multiple_of(6), grain(6, 6, 42));
        assert_eq!(Grain::of(10, 100).multiple_of(6), grain(10, 6, 1));
        assert_eq!(Grain::of(10, 100).at_least(50), grain(50, 1, 5));
        assert_eq!(Grain::of(10, 100).multiple_of(6).at_least(50), grain(50, 6, 5));
        assert_eq!(Grain::from(usize::MAX).multiple_of(16), grain(usize::MAX, 16, 1));
    }

    /// Which threads do the work; each piece takes long enough for another thread to come and take the next.
    struct Who<'a>(usize, &'a Mutex<std::collections::HashSet<ThreadId>>);

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
                divide(Who(2, &seen), Grain { items: 1, step: 1, weight });
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
                struct Where(usize, ThreadId);
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
