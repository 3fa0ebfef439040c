//! What the run's speed is measured against: the processor, the level its kernels run at, its peak.

use anyhow::Result;
use lanegrad::kernels::isa::Level;
use lanegrad::kernels::parallel::Threads;
use lanegrad::kernels::{dispatch, peak};
use std::time::Duration;

/// How long one measurement of the peak takes.
const PEAK_DURATION: Duration = Duration::from_millis(50);

/// The machine as this run uses it.
#[derive(Debug)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// The level that kernels run at.
    pub level: Level,
    /// The pool that everything runs in.
    pub threads: Threads,
    /// Multiply-add peak of all threads in GFLOP/s, the largest measured so far.
    pub peak_gflops: f64,
}

impl Machine {
    /// Starts `threads` threads (none given: as many as the processor runs at once) and measures the peak.
    pub fn new(threads: Option<u16>) -> Result<Self> {
        let threads = start_threads(threads)?;
        let mut machine = Self { cpu: cpu_name(), level: dispatch::level()?, threads, peak_gflops: 0.0 };
        machine.measure_peak()?;
        Ok(machine)
    }

    /// Measures the peak again; the larger one counts, since what else the machine does only lowers it.
    pub fn measure_peak(&mut self) -> Result<()> {
        let level = self.level;
        let peak = self.threads.run(|| peak::multiply_add_peak::<f32>(level, PEAK_DURATION))?;
        self.peak_gflops = self.peak_gflops.max(peak);
        Ok(())
    }
}

/// Starts `threads` threads (none given: as many as the processor runs at once).
pub fn start_threads(threads: Option<u16>) -> Result<Threads> {
    let count = match threads {
        Some(count) => count.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    Ok(Threads::new(count)?)
}

/// The processor's name as it reports it.
#[cfg(target_arch = "x86_64")]
fn cpu_name() -> String {
    let brand = raw_cpuid::CpuId::new().get_processor_brand_string();
    brand.map_or_else(|| std::env::consts::ARCH.into(), |brand| brand.as_str().trim().into())
}

/// The architecture, where the processor cannot be asked for its name.
#[cfg(not(target_arch = "x86_64"))]
fn cpu_name() -> String {
    std::env::consts::ARCH.into()
}
