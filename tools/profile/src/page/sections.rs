//! The sections of a page.

use super::folder::Run;
use crate::args::ModelName;
use crate::names::described;
use crate::plots::{
    AccuracyCurve, ConfusionMatrix, Format, LossCurve, UpdateRatios, accuracy_curve, confusion_matrix, has_ratios,
    loss_curve, update_ratios,
};
use crate::predictions::{Example, percent, png_address};
use crate::report::{Epoch, Kernel, Report};
use crate::screen::{counted, grouped};
use crate::train::files::loss_name;
use anyhow::Result;
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeMap;

/// The numbers that count most.
pub fn head(run: &Run, title: &str) -> Markup {
    let Report { data, model, optimizer, epochs, batch_size, seed, .. } = &run.report;
    let momentum = optimizer.momentum.map_or(String::new(), |momentum| format!(", momentum {momentum}"));
    let schedule = optimizer.schedule.as_ref().map_or(String::new(), |schedule| format!(", schedule {schedule}"));
    html! {
        header {
            h1 { (title) }
            p {
                (described(run.options())) ", " (grouped(model.parameters as u64)) " parameters. "
                (optimizer.name) ", step size " (format!("{:e}", optimizer.lr)) (schedule) (momentum)
                ", regularisation " (format!("{:e}", optimizer.reg)) ", batches of " (batch_size) ", seed " (seed) ". "
                (grouped(data.train as u64)) " training and " (grouped(data.test as u64)) " test images."
            }
        }
        @if let Some(tiles) = tiles(epochs) {
            dl.tiles {
                @for (name, value, remark) in tiles { div { dt { (name) } dd { (value) small { (remark) } } } }
            }
        }
    }
}

/// Name, value and remark of each.
fn tiles(epochs: &[Epoch]) -> Option<Vec<(&'static str, String, String)>> {
    let last = epochs.last()?;
    let best = epochs.iter().rev().max_by(|a, b| a.test_accuracy.total_cmp(&b.test_accuracy))?;
    let seconds: f64 = epochs.iter().map(|epoch| epoch.seconds).sum();
    let images: f64 = epochs.iter().map(|epoch| epoch.seconds * epoch.samples_per_second).sum();
    let of_peak: f64 = epochs.iter().map(|epoch| epoch.seconds * epoch.peak_fraction).sum::<f64>() / seconds;
    let best_remark = match best.epoch == last.epoch {
        true => "the best of all epochs".into(),
        false => format!("best {:.2} %, epoch {}", 100.0 * best.test_accuracy, best.epoch),
    };
    Some(vec![
        ("test accuracy", format!("{:.2} %", 100.0 * last.test_accuracy), best_remark),
        ("test loss", format!("{:.4}", last.test_loss), "mean, without the regulariser".into()),
        ("training loss", format!("{:.4}", last.train_loss), "mean of the last epoch".into()),
        ("training took", duration(seconds), counted(epochs.len(), "epoch")),
        ("images a second", grouped((images / seconds) as u64), format!("{:.0} % of the peak", 100.0 * of_peak)),
    ])
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.2} s"),
        ..120.0 => format!("{seconds:.0} s"),
        _ => format!("{:.0} min", seconds / 60.0),
    }
}

/// Losses, accuracies, sizes of steps.
pub fn curves(run: &Run) -> Result<Markup> {
    let report = &run.report;
    let (model, data) = (run.title(), run.data_name());
    let (loss, unit) = loss_name(run.options().loss);
    let losses = loss_curve(
        &LossCurve {
            model,
            loss,
            unit,
            data,
            batch_size: report.batch_size as usize,
            steps_per_epoch: run.steps.steps_per_epoch,
            losses: &run.steps.losses,
        },
        Format::Narrow,
    )?;
    let accuracies: Vec<f64> = report.epochs.iter().map(|epoch| epoch.test_accuracy).collect();
    let classes = run.summary.class_names.len();
    let accuracies = accuracy_curve(&AccuracyCurve { model, data, classes, accuracies: &accuracies }, Format::Narrow)?;
    let epochs: Vec<BTreeMap<String, f64>> = report.epochs.iter().map(|epoch| epoch.update_to_weight.clone()).collect();
    let ratios = UpdateRatios { model, optimizer: &report.optimizer.name, epochs: &epochs };
    let ratios = has_ratios(&epochs).then(|| update_ratios(&ratios, Format::Narrow)).transpose()?;
    Ok(html! {
        section {
            h2 { "How it learned" }
            div.figures {
                (figure("Loss", "Curve of the training loss", &losses, html! {
                    "Of each mini-batch just before its step: " (loss) ". It should fall fast, then slowly. Flat from the start: the "
                    "step size is too small; jumps up: too large."
                }))
                (figure("Test accuracy", "Curve of the test accuracy", &accuracies, html! {
                    "The part of the test images that is recognised after each epoch."
                }))
                @if let Some(ratios) = ratios {
                    (figure("Size of a step", "Curves of the update-to-weight ratios", &ratios, html! {
                        "The norm of each epoch's last step, over that of the weights it moved. About 0.001 is usual for the "
                        "layers of a network: far above it the step size is too large, far below it too small. Weights that began as "
                        "zeros are short, and their ratios larger."
                    }))
                }
            }
        }
    })
}

/// A drawing of ours with its heading and an explanation.
fn figure(heading: &str, label: &str, svg: &str, text: Markup) -> Markup {
    // Our own drawing: its texts were escaped when they were drawn.
    let named = html! { svg role="img" aria-label=(label) {} }.into_string();
    let opening = named.trim_end_matches("></svg>");
    let drawing = PreEscaped(svg.replacen("<svg", opening, 1));
    html! { figure.curve { h3 { (heading) } (drawing) figcaption { (text) } } }
}

/// What the first layer looks for.
pub fn first_layer(run: &Run) -> Result<Markup> {
    let pictures = run.trained.model.first_layer(&run.summary.class_names)?;
    let (heading, text) = match run.options().model {
        ModelName::Linear => (
            "What it looks for",
            "The weights of each class as a picture: a class's score is the sum of the pixels, each times its weight.",
        ),
        ModelName::Mlp => ("What the first hidden units look for", "The weights of each unit as a picture."),
        ModelName::Convnet | ModelName::Quick => (
            "What the first filters look for",
            "The weights of each filter as a picture. Noisy filters are a sign of a bad step size or too weak a regulariser.",
        ),
    };
    let pictures = pictures.iter().map(|picture| Ok((picture.label().to_owned(), png_address(&picture.png()?))));
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    Ok(html! {
        section {
            h2 { (heading) }
            p { (text) " Its smallest weight is black, its largest full colour." }
            div.pictures.many[pictures.len() > 10] {
                @for (label, address) in &pictures {
                    figure { img src=(address) alt={ "Weights of " (label) }; figcaption { (label) } }
                }
            }
        }
    })
}

/// The confusion matrix, class by class, and images.
pub fn predictions(run: &Run) -> Result<Markup> {
    let summary = &run.summary;
    let matrix = ConfusionMatrix {
        model: run.title(),
        data: run.data_name(),
        class_names: &summary.class_names,
        counts: &summary.confusion,
    };
    let matrix = confusion_matrix(&matrix, Format::Narrow)?;
    let (right, wrong): (Vec<&Example>, Vec<&Example>) =
        summary.examples.iter().partition(|example| example.is_right());
    Ok(html! {
        section {
            h2 { "What it takes for what" }
            div.figures {
                (figure("Confusion matrix", "Confusion matrix", &matrix, html! {
                    "Of " (grouped(summary.images as u64)) " test images. Each row: what the images of one class were taken for, in "
                    "percent. Blue is right, orange wrong."
                }))
                div {
                    h3 { "Class by class" }
                    table.bars {
                        thead { tr { th { "class" } th { "recognised" } th { "most often taken for" } } }
                        tbody {
                            @for class in summary.per_class() {
                                @let part = percent(class.right, class.images);
                                tr {
                                    th scope="row" { (class.name) }
                                    td.bar style=(format!("--part: {}", part.replace(' ', ""))) { (part) }
                                    td { @if let Some((name, count)) = class.mistaken_for {
                                        (name) " (" (percent(count, class.images)) ")"
                                    } }
                                }
                            }
                        }
                    }
                }
            }
        }
        section {
            h2 { "What it is surest of" }
            @for (heading, examples) in [("Right", right), ("Wrong", wrong)] {
                @if !examples.is_empty() {
                    h3 { (heading) ": of each class the image that it is surest of" }
                    div.guesses { @for example in examples { (guesses(run, example)) } }
                }
            }
        }
    })
}

/// An image with its guesses.
fn guesses(run: &Run, example: &Example) -> Markup {
    let label = example.label.as_deref().unwrap_or_default();
    html! {
        figure {
            img src=(example.image) alt={ "Test image: " (label) };
            figcaption {
                b { (label) } @if let Some(row) = example.row { " row " (row) }
                ol {
                    @for (place, guess) in example.guesses.iter().enumerate() {
                        @let kind = if guess.class == label { "right" } else if place == 0 { "wrong" } else { "other" };
                        li.bar.(kind) style=(format!("--part: {:.1}%", 100.0 * guess.bar.clamp(0.0, 1.0))) {
                            span { (guess.class) } " " span { (run.summary.meaning.text(guess.value)) }
                        }
                    }
                }
            }
        }
    }
}

/// The table of the epochs.
pub fn epochs(run: &Run) -> Markup {
    html! {
        section {
            h2 { "Epoch by epoch" }
            details open[run.report.epochs.len() <= 12] {
                summary { (counted(run.report.epochs.len(), "epoch")) }
                table.numbers {
                    thead { tr {
                        th { "epoch" } th { "train loss" } th { "test loss" } th { "test accuracy" } th { "seconds" }
                        th.wide { "images/s" } th.wide { "GFLOP/s" } th.wide { "of peak" }
                    } }
                    tbody { @for epoch in &run.report.epochs { tr {
                        td { (epoch.epoch) }
                        td { (format!("{:.4}", epoch.train_loss)) }
                        td { (format!("{:.4}", epoch.test_loss)) }
                        td { (format!("{:.2} %", 100.0 * epoch.test_accuracy)) }
                        td { (format!("{:.3}", epoch.seconds)) }
                        td.wide { (grouped(epoch.samples_per_second as u64)) }
                        td.wide { (format!("{:.1}", epoch.gflops)) }
                        td.wide { (format!("{:.1} %", 100.0 * epoch.peak_fraction)) }
                    } } }
                }
            }
        }
    }
}

/// Where the time went, if that was measured.
pub fn time(run: &Run) -> Markup {
    let Some(time) = &run.report.time else {
        return html! {};
    };
    let milliseconds = |kernel: &Kernel| format!("{:.1}", 1e3 * kernel.seconds);
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
    html! {
        section {
            h2 { "Where the time went" }
            p { "Of " (grouped(time.steps)) " steps, which took " (duration(time.seconds)) " together." }
            table.numbers.bars {
                thead { tr {
                    th { "operation" } th { "ms" } th { "share" } th.wide { "GFLOP/s" } th { "of peak" } th.wide { "GB/s" } th.wide { "calls" }
                } }
                tbody { @for kernel in &time.kernels { tr {
                    th scope="row" { (kernel.name) " " small { (kernel.pass) " " (kernel.shapes) } }
                    td { (milliseconds(kernel)) }
                    td.bar style=(format!("--part: {:.1}%", 100.0 * kernel.share.clamp(0.0, 1.0))) {
                        (format!("{:.1} %", 100.0 * kernel.share))
                    }
                    td.wide { (number(kernel.gflops)) }
                    td { (kernel.peak_fraction.map_or(String::new(), |part| format!("{:.0} %", 100.0 * part))) }
                    td.wide { (number(kernel.gigabytes_per_second)) }
                    td.wide { (grouped(kernel.calls)) }
                } } }
            }
        }
    }
}

/// The machine, and the command that does it again.
pub fn reproduce(run: &Run) -> Markup {
    let Report { machine, reproduce, replanned, weights_sha256, .. } = &run.report;
    let schedule = run.report.optimizer.schedule.as_deref().unwrap_or_default();
    html! {
        section {
            h2 { "How to get it again" }
            @if let Some(command) = reproduce {
                pre { (command) }
            } @else {
                p { "The version of " code { "profile" } " that trained it did not record the command." }
            }
            @for at in replanned {
                p {
                    "The run was resumed after step " (grouped(at.step)) ", and made " (grouped(at.now)) " steps long instead of "
                    (grouped(at.before)) ". Its schedule, " (schedule) ", depends on that: up to there it was that of the shorter "
                    "run. The command above plans the last length from the start, and trains other weights."
                }
            }
            dl.facts {
                dt { "machine" } dd { (machine.cpu) }
                dt { "instructions" } dd { (machine.isa) ": the bits of the weights are the same wherever these are used" }
                dt { "threads" } dd { (machine.threads) ", which do not change the bits" }
                dt { "multiply-add peak" } dd { (format!("{:.0}", machine.fma_peak_gflops)) " GFLOP/s, measured" }
                dt { "weights SHA-256" } dd { code { (weights_sha256) } }
            }
        }
    }
}
