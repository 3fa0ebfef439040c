//! On which threads a product runs.

use crate::settings::get_threading_threshold;
use lanegrad_kernels::parallel;

/// On which threads a product runs.
#[derive(Clone, Copy, Debug)]
pub enum Parallelism {
    /// On the calling thread alone.
    None,
    /// On the threads of the rayon pool that it is called in: with 1 on the calling thread alone, with any other number on
    /// as many of the pool's as are worth it.
    #[cfg(feature = "rayon")]
    Rayon(usize),
}

impl Parallelism {
    /// Runs a product of `work` multiply-adds.
    pub(crate) fn run(self, work: usize, product: impl FnOnce()) {
        let threads = match self {
            Self::None => 1,
            #[cfg(feature = "rayon")]
            Self::Rayon(threads) => threads,
        };
        if threads == 1 || work < get_threading_threshold() { parallel::alone(product) } else { product() }
    }
}

#[cfg(all(test, feature = "rayon"))]
mod tests {
    use super::*;

    #[test]
    fn threads_are_used_where_they_are_asked_for_and_worth_it() {
        let seen = |parallelism: Parallelism, work| {
            let mut threads = 0;
            parallelism.run(work, || threads = parallel::current());
            threads
        };
        rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(|| {
            assert_eq!(seen(Parallelism::None, usize::MAX), 1);
            assert_eq!(seen(Parallelism::Rayon(1), usize::MAX), 1);
            assert_eq!(seen(Parallelism::Rayon(0), usize::MAX), 3);
            assert_eq!(seen(Parallelism::Rayon(2), usize::MAX), 3);
            assert_eq!(seen(Parallelism::Rayon(0), 0), 1);
        });
    }
}
