//! Processor time of this thread.
use std::hint::black_box;

use cpu_time::ThreadTime;

/// Microseconds that `work` takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> f64 {
    let start = ThreadTime::now();
    black_box(work());
    start.elapsed().as_secs_f64() * 1e6
}

/// What [`time`] measures for no work, microseconds; to subtract from short times.
pub(crate) fn overhead() -> f64 {
    Times::new((0..10_000).map(|_| time(|| ()))).quantile(0.5)
}

/// Sorted times of the same work.
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn new(times: impl Iterator<Item = f64>) -> Self {
        let mut times: Vec<f64> = times.collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    pub(crate) fn quantile(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }
}
