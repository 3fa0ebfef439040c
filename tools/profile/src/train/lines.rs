//! What a run says on the way.

use super::Training;
use crate::args::SampleName;
use crate::machine::Machine;
use crate::names::described;
use crate::report::{self, Replanned};
use crate::screen::{Screen, counted, four_digits, grouped};
use crate::settings;
use anyhow::Result;
use lanegrad::data::Dataset;
use lanegrad::loss::StepLoss;
use lanegrad::schedule::Schedule;

impl Training<'_> {
    /// Says what is about to be done.
    pub fn announce(&mut self, dataset: &Dataset, machine: &Machine, screen: &mut Screen) -> Result<()> {
        let options = self.options;
        let images = |count: usize| grouped(count as u64);
        screen.line(&format!(
            "           {} training and {} test images of {} bytes, {} classes",
            images(dataset.train.len()),
            images(dataset.test.len()),
            images(dataset.train.features()),
            dataset.train.classes()
        ))?;
        let parameters = grouped(self.model.parameters() as u64);
        screen.line(&format!("model      {}, {parameters} parameters", described(&options.model)))?;
        let momentum =
            settings::momentum(self.optimizer).map_or(String::new(), |momentum| format!(", momentum {momentum}"));
        let schedule = if options.schedule == Schedule::CONSTANT {
            String::new()
        } else {
            format!(", schedule {}", options.schedule)
        };
        let sample = match options.sample {
            SampleName::Epoch if self.batch_size() == dataset.train.len() => ", all images in one",
            SampleName::Epoch => "",
            SampleName::Replacement => " drawn with replacement",
        };
        screen.line(&format!(
            "optimizer  {}, step size {:e}{schedule}{momentum}, regularisation {:e}, batches of {}{sample}, seed {}",
            self.optimizer.name(),
            self.optimizer.rate(),
            self.strength,
            self.batch_size(),
            options.run.seed
        ))?;
        screen.line(&format!(
            "machine    {}, {}, {}, multiply-add peak {:.0} GFLOP/s",
            machine.cpu,
            machine.level,
            counted(machine.threads.count(), "thread"),
            machine.peak_gflops
        ))?;
        let trainer = self.model.trainer();
        let start = machine.threads.run(|| trainer.evaluate(&dataset.test))?;
        if let Some(isa) = self.resumed_isa.as_deref().filter(|&isa| isa != machine.level.name()) {
            screen.line(&format!(
                "           The steps so far were computed at the level {isa}, which may round otherwise."
            ))?;
        }
        if let Some(Replanned { before, now, .. }) = self.replanned.iter().find(|at| Some(at.step) == self.resumed_at) {
            let (schedule, before, now) = (options.schedule, grouped(*before), grouped(*now));
            screen.line(&format!(
                "           The schedule {schedule} was planned for {before} steps; from here on it is that of {now}."
            ))?;
        }
        let at =
            self.resumed_at.map_or("start      ".into(), |step| format!("resumed    after step {}: ", grouped(step)));
        screen.line(&format!("{at}test loss {:.6}, accuracy {:.2} %", start.loss, 100.0 * start.accuracy))?;
        screen.line("")
    }
}

/// Above the lines of the epochs.
pub const TABLE_HEAD: &str = "epoch  train loss  test loss  test acc.  seconds  samples/s  GFLOP/s  of peak";

/// The line of an epoch.
pub fn table_line(epoch: &report::Epoch) -> String {
    format!(
        "{:5}  {:>10}  {:>9}  {:7.2} %  {:7.4}  {:>9}  {:7.1}  {:5.1} %",
        epoch.epoch,
        four_digits(epoch.train_loss),
        four_digits(epoch.test_loss),
        100.0 * epoch.test_accuracy,
        epoch.seconds,
        grouped(epoch.samples_per_second as u64),
        epoch.gflops,
        100.0 * epoch.peak_fraction
    )
}

/// The line of an epoch of which `steps` of `all` were taken.
pub fn summary_line(epoch: &report::Epoch, (steps, all): (u64, u64)) -> String {
    let part = if steps < all { format!(" ({steps} of {all} steps)") } else { String::new() };
    format!(
        "epoch {}{part}: train loss {}, test loss {}, test accuracy {:.2} %, {:.4} s, {} samples/s, {:.1} GFLOP/s, {:.1} % of peak",
        epoch.epoch,
        four_digits(epoch.train_loss),
        four_digits(epoch.test_loss),
        100.0 * epoch.test_accuracy,
        epoch.seconds,
        grouped(epoch.samples_per_second as u64),
        epoch.gflops,
        100.0 * epoch.peak_fraction
    )
}

/// The line of a step.
pub fn iteration_line(step: u64, loss: StepLoss) -> String {
    format!(
        "iteration {step}: loss {:.6} = data {:.6} + regularisation {:.6}",
        loss.full(),
        loss.data,
        loss.regularisation
    )
}
