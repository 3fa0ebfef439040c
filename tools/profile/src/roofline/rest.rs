//! Whether the machine is at rest: another program on one of the cores takes the speed of several threads from a kernel, and its
//! best run does not show it.

use super::workloads::{Workload, product};
use crate::machine::Machine;
use lanegrad::kernels::Error;
use std::time::{Duration, Instant};

/// How long a look takes.
const LOOK: Duration = Duration::from_millis(5);

/// Looks that are taken first, to know the usual speed.
const FIRST_LOOKS: usize = 40;

/// The part of the usual speed that a machine at rest reaches at least.
const AT_REST: f64 = 0.8;

/// A matrix product on all threads, whose speed is the sign.
pub struct Rest {
    probe: Workload,
    /// Runs of it a second, at the best look.
    usual: f64,
}

impl Rest {
    /// Learns how fast the machine is when it is at rest, or as near to it as it comes.
    pub fn learn(machine: &Machine) -> Result<Self, Error> {
        let mut rest = Self { probe: product([512; 3]), usual: 0.0 };
        for _ in 0..FIRST_LOOKS {
            rest.look(machine)?;
        }
        Ok(rest)
    }

    /// Whether the machine is at rest now.
    pub fn look(&mut self, machine: &Machine) -> Result<bool, Error> {
        let probe = &mut self.probe.run;
        let rate = machine.threads.run(|| {
            let (start, mut runs) = (Instant::now(), 0_u32);
            while start.elapsed() < LOOK {
                probe()?;
                runs += 1;
            }
            Ok::<_, Error>(f64::from(runs) / start.elapsed().as_secs_f64())
        })?;
        self.usual = self.usual.max(rate);
        Ok(rate >= AT_REST * self.usual)
    }
}
