//! All that is known about a model on a test set.

use super::{Example, Meaning, Predictions, data_address, rgb};
use anyhow::{Result, ensure};
use lanegrad::data::Dataset;
use serde::{Deserialize, Serialize};

/// How often images of each class are taken for each class: `counts[t][p]` of class t for class p.
pub type Confusion = Vec<Vec<u64>>;

/// All that is known about a model on a test set; the module says how it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Summary {
    pub version: u32,
    pub command: String,
    pub model: String,
    pub loss: String,
    pub data: String,
    pub meaning: Meaning,
    pub class_names: Vec<String>,
    pub images: usize,
    pub right: u64,
    pub accuracy: f64,
    pub confusion: Confusion,
    pub examples: Vec<Example>,
}

impl Summary {
    /// Of what `predictions` say about the test images of `dataset`, whose pixels are channels-last or not.
    pub fn new(
        predictions: &Predictions,
        dataset: &Dataset,
        channels_last: bool,
        (command, model): (&str, &str),
    ) -> Result<Self> {
        let labels = dataset.test.labels();
        ensure!(predictions.len() == labels.len(), "{} predictions for {} images", predictions.len(), labels.len());
        let mut confusion = vec![vec![0; predictions.classes]; predictions.classes];
        for (n, &label) in labels.iter().enumerate() {
            confusion[label as usize][predictions.best(n)] += 1;
        }
        let is_right = |n: usize| predictions.best(n) == labels[n] as usize;
        let [surest_right, surest_wrong] =
            [true, false].map(|right| predictions.surest(labels, |n| is_right(n) == right));
        let example = |row: usize| {
            Ok(Example {
                row: Some(row),
                label: Some(dataset.class_names[labels[row] as usize].clone()),
                guesses: predictions.guesses(row, &dataset.class_names),
                image: data_address(&rgb(&dataset.test, row, channels_last))?,
            })
        };
        let right = (0..predictions.classes).map(|class| confusion[class][class]).sum();
        let loss: lanegrad::Loss = predictions.loss.into();
        Ok(Self {
            version: 1,
            command: command.into(),
            model: model.into(),
            loss: loss.name().into(),
            data: dataset.source.kind().into(),
            meaning: Meaning::of(predictions.loss),
            class_names: dataset.class_names.clone(),
            images: labels.len(),
            right,
            accuracy: right as f64 / labels.len().max(1) as f64,
            confusion,
            examples: surest_right.into_iter().chain(surest_wrong).map(example).collect::<Result<_>>()?,
        })
    }

    /// Of each class: its images, how many are recognised, and what it is most often mistaken for, with how often.
    pub fn per_class(&self) -> Vec<ClassAccuracy<'_>> {
        let rows = self.class_names.iter().zip(&self.confusion).enumerate();
        rows.map(|(class, (name, row))| {
            let others = || (0..row.len()).filter(|&other| other != class && row[other] > 0);
            let mistaken = others().rev().max_by_key(|&other| row[other]);
            ClassAccuracy {
                name,
                images: row.iter().sum(),
                right: row[class],
                mistaken_for: mistaken.map(|other| (self.class_names[other].as_str(), row[other])),
            }
        })
        .collect()
    }
}

/// How well one class is recognised.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassAccuracy<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its images.
    pub images: u64,
    /// How many of them are recognised.
    pub right: u64,
    /// What they are most often mistaken for, and how many of them are.
    pub mistaken_for: Option<(&'a str, u64)>,
}

/// A part of images in percent: `46.7 %`, and a dash for a part of none.
pub fn percent(part: u64, all: u64) -> String {
    if all == 0 { "-".into() } else { format!("{:.1} %", 100.0 * part as f64 / all as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::LossName;
    use lanegrad::data::synthetic;

    #[test]
    fn a_summary_counts_and_shows_the_surest() {
        // Four images a class, 0 1 2 ... 9 in turn. All are taken for class 3, image 13 with the most confidence, but for
        // images 7 and 17, which are taken for what they are.
        let dataset = synthetic::generate_sized(0, 10, 40);
        let mut scores = vec![0.0; 400];
        for n in 0..40 {
            scores[10 * n + 3] = if n == 13 { 5.0 } else { 1.0 };
        }
        (scores[77], scores[177]) = (2.0, 3.0);
        let predictions = Predictions::new(scores, 10, LossName::Softmax).unwrap();
        let summary = Summary::new(&predictions, &dataset, false, ("predict", "linear")).unwrap();
        assert_eq!((summary.right, summary.images, summary.accuracy), (6, 40, 0.15));
        assert_eq!(summary.confusion.iter().flatten().sum::<u64>(), 40);
        assert_eq!((summary.confusion[3][3], summary.confusion[7][7], summary.confusion[7][3]), (4, 2, 2));
        let rows: Vec<usize> = summary.examples.iter().map(|example| example.row.unwrap()).collect();
        assert_eq!(rows, [13, 17, 0, 1, 2, 4, 5, 6, 27, 8, 9]);
        assert!(summary.examples[..2].iter().all(Example::is_right) && !summary.examples[2].is_right());
        let classes = summary.per_class();
        assert_eq!(classes[7].mistaken_for, Some((dataset.class_names[3].as_str(), 2)));
        assert_eq!((classes[3].right, classes[3].images, classes[3].mistaken_for), (4, 4, None));
        let read: Summary = serde_json::from_str(&crate::json::text(&summary).unwrap()).unwrap();
        assert_eq!(read, summary);
    }
}
