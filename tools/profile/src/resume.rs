//! The options of a resumed run: those of the checkpoint, and what may change.

use crate::args::{Arguments, BiasName, Command, ModelName, RunOptions, TrainOptions};
use crate::settings;
use clap::{Parser, ValueEnum};
use std::collections::BTreeMap;
use std::fmt;

/// Options by their long names, with their values as on the command line.
pub type Settings = BTreeMap<String, String>;

/// Why a run cannot be resumed as it was asked for.
#[derive(Debug)]
pub struct Conflict(pub String);

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Conflict {}

/// How long a run is: one of these says it, and a resumed run may be longer.
const LENGTHS: [&str; 2] = ["epochs", "iterations"];

/// What may be another in a resumed run, and is not kept.
const FREE: [&str; 8] = ["data", "threads", "out", "json", "resume", "overwrite", "checkpoint-every", "time"];

/// Everything that decides what is learned from the data, with each default spelled out: a later program's defaults may be
/// others.
pub fn settings_of(options: &TrainOptions) -> Settings {
    let optimizer = settings::optimizer(&options.model, &options.update);
    let length = match options.iterations {
        Some(iterations) => ("iterations", iterations.to_string()),
        None => ("epochs", options.epochs.to_string()),
    };
    let mut settings = vec![
        length,
        ("model", name(options.model.model)),
        ("loss", name(options.model.loss)),
        ("preprocess", name(options.model.preprocess)),
        ("sample", name(options.sample)),
        ("batch-size", options.batch_size.to_string()),
        ("optimizer", name(options.update.optimizer)),
        ("lr", optimizer.rate().to_string()),
        ("schedule", options.schedule.to_string()),
        ("reg", settings::strength(&options.model).to_string()),
        ("seed", options.run.seed.to_string()),
    ];
    match options.model.model {
        ModelName::Linear => settings.push(("bias", name(options.model.bias.unwrap_or(BiasName::Separate)))),
        ModelName::Mlp => {
            let widths: Vec<String> = options.model.hidden().iter().map(usize::to_string).collect();
            settings.push(("hidden", widths.join(",")));
        }
        ModelName::Convnet | ModelName::Quick => {}
    }
    let momentum = settings::momentum(optimizer).filter(|_| options.update.optimizer.has_momentum());
    settings.extend(momentum.map(|momentum| ("momentum", momentum.to_string())));
    settings.extend(options.clip_norm.map(|limit| ("clip-norm", limit.to_string())));
    settings.extend(settings::init(&options.model).map(|init| ("init", init.to_string())));
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The value's name on the command line.
pub fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The options that such settings stand for.
fn options_of(settings: &Settings) -> Result<TrainOptions, String> {
    let arguments = settings.iter().map(|(name, value)| format!("--{name}={value}"));
    let arguments = ["profile".to_owned(), "train".to_owned()].into_iter().chain(arguments);
    let parsed = Arguments::try_parse_from(arguments).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })?;
    let Command::Train(options) = parsed.command else {
        return Err("other settings than those of `train`".into());
    };
    options.check()?;
    Ok(*options)
}

/// A command for a POSIX shell that trains the same from the start: all that is not a default, and the data.
pub fn command_line(options: &TrainOptions, data: &str) -> anyhow::Result<String> {
    let all = settings_of(options);
    let mut told = all.clone();
    for name in all.keys() {
        let mut fewer = told.clone();
        fewer.remove(name);
        if options_of(&fewer).is_ok_and(|options| settings_of(&options) == all) {
            told = fewer;
        }
    }
    let mut words = vec!["profile".to_owned(), "train".to_owned()];
    for (name, value) in told {
        words.extend([format!("--{name}"), value]);
    }
    words.extend(["--data".into(), data.into()]);
    Ok(shlex::try_join(words.iter().map(String::as_str))?)
}

/// The options of a run that goes on with the settings `kept` after `step` steps, and was told those of `told`.
///
/// # Errors
/// If one was told that is not what was kept.
pub fn resumed(told: &TrainOptions, kept: &Settings) -> Result<TrainOptions, Conflict> {
    let unreadable = |message| Conflict(format!("the checkpoint's options cannot be used: {message}"));
    let mut settings = kept.clone();
    for (name, value) in &told.given {
        if FREE.contains(&name.as_str()) {
            continue;
        }
        if LENGTHS.contains(&name.as_str()) {
            settings.retain(|name, _| !LENGTHS.contains(&name.as_str()));
            settings.insert(name.clone(), value.clone());
            continue;
        }
        let mut changed = kept.clone();
        changed.insert(name.clone(), value.clone());
        // Written in another way it may be the same.
        if options_of(&changed).is_ok_and(|options| settings_of(&options) == *kept) {
            continue;
        }
        let was = kept.get(name).map_or_else(|| "without it".into(), |kept| format!("with {kept}"));
        return Err(Conflict(format!(
            "--{name} {value}: the checkpoint was trained {was}, and a resumed run keeps that"
        )));
    }
    let options = options_of(&settings).map_err(unreadable)?;
    let TrainOptions { run, resume, checkpoint_every, time, given, .. } = told.clone();
    let run = RunOptions { seed: options.run.seed, ..run };
    Ok(TrainOptions { run, resume, checkpoint_every, time, given, ..options })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> TrainOptions {
        let arguments = ["profile", "train"].into_iter().chain(line.split_whitespace());
        let Command::Train(options) = Arguments::try_parse_from(arguments).unwrap().command else { unreachable!() };
        *options
    }

    #[test]
    fn settings_stand_for_the_options_they_came_from() {
        for line in [
            "",
            "--bias trick --init normal:1e-3 --loss hinge --preprocess raw --reg 0 --seed 18446744073709551615",
            "--iterations 77 --sample replacement --optimizer momentum --momentum 0.75 --lr 3.7e-7",
            "--model mlp --hidden 7,8 --clip-norm 0.1 --schedule warmup:5+step:3:0.1 --optimizer muon --init xavier",
            "--model convnet --optimizer adamw --schedule one-cycle --epochs 3 --batch-size 17",
            "--model quick --optimizer graves-rmsprop",
        ] {
            let settings = settings_of(&options(line));
            let again = options_of(&settings).unwrap();
            assert_eq!(settings_of(&again), settings, "{line}");
        }
    }

    #[test]
    fn a_command_says_what_is_not_a_default() {
        let command = |line: &str| command_line(&options(line), "synthetic").unwrap();
        assert_eq!(command("--epochs 10 --lr 3e-3 --bias separate --init zero"), "profile train --data synthetic");
        assert_eq!(command("--threads 3 --out x --resume y --json z --time"), "profile train --data synthetic");
        let line =
            "--batch-size 20 --hidden 7,8 --init xavier --iterations 9 --model mlp --momentum 0.8 --optimizer momentum";
        assert_eq!(shlex::split(&command(line)).unwrap().join(" "), format!("profile train {line} --data synthetic"));
        // A default of another model is said.
        assert_eq!(command("--model quick --reg 1e-4"), "profile train --model quick --reg 0.0001 --data synthetic");
        let quoted = command_line(&options("--seed 7"), "/a folder/it's").unwrap();
        assert_eq!(shlex::split(&quoted).unwrap()[2..], ["--seed", "7", "--data", "/a folder/it's"]);
    }

    #[test]
    fn what_contradicts_the_checkpoint_is_named() {
        let kept = settings_of(&options("--model mlp --hidden 30 --optimizer momentum --epochs 4"));
        let told = |name: &str, value: &str| {
            let given = [(name.to_owned(), value.to_owned())].into();
            resumed(&TrainOptions { given, ..options("") }, &kept)
        };
        for (name, value) in
            [("lr", "0.5"), ("hidden", "31"), ("model", "linear"), ("bias", "trick"), ("seed", "1"), ("init", "xavier")]
        {
            let Conflict(message) = told(name, value).unwrap_err();
            assert!(message.starts_with(&format!("--{name} {value}: ")), "{message}");
        }
        for (name, value) in [("lr", "1.0e-2"), ("momentum", ".9"), ("hidden", "30"), ("init", "he"), ("threads", "3")]
        {
            assert_eq!(settings_of(&told(name, value).unwrap()), kept, "{name}");
        }
        assert_eq!(told("epochs", "9").unwrap().epochs, 9);
        assert_eq!(told("iterations", "9").unwrap().iterations, Some(9));
    }
}
