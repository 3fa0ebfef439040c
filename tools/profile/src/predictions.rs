//! What a model says about images: its guesses, what it takes for what, and the surest of its right and wrong ones.
//!
//! `train` and `predict` write all of it as `predictions.json`, version 1:
//!
//! ```json
//! {
//!   "version": 1,
//!   "command": "predict",
//!   "model": "linear", "loss": "softmax", "data": "cifar10",
//!   "meaning": "probability",
//!   "class_names": ["airplane", "..."],
//!   "images": 10000, "right": 4042, "accuracy": 0.4042,
//!   "confusion": [[467, 51, "..."], "..."],
//!   "examples": [{"row": 1201, "label": "airplane", "image": "data:image/png;base64,...",
//!                 "guesses": [{"class": "airplane", "value": 0.98, "bar": 0.98}, "..."]}]
//! }
//! ```
//!
//! * `confusion[t][p]` counts the test images of class t that the model takes for class p.
//! * `meaning` says what the value of a guess is: a `probability` (softmax cross-entropy: e^s / (sum of e^s), lecture, slide
//!   "Softmax vs. SVM") or a `score` (hinge).
//! * `examples` are, of each class, the image that is classified rightly with the most confidence, then, of each class, the one
//!   that is classified wrongly with the most confidence. Confidence is the first guess's probability, or its score's lead
//!   over the second one's.
//! * `row` counts the images of the test set from 0; `guesses` are the first three.

mod summary;

pub use summary::{Summary, percent};

use crate::args::LossName;
use crate::contact_sheet::png_rgb;
use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lanegrad::data::Images;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How many guesses are shown.
const SHOWN: usize = 3;

/// Width and height of CIFAR-10's images in pixels.
pub const SIDE: usize = 32;

/// The scores of some images, and how to read them.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// N x C, row by row.
    scores: Vec<f32>,
    classes: usize,
    loss: LossName,
}

/// A class, and what the model gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guess {
    /// Its name.
    pub class: String,
    /// A probability, or a score.
    pub value: f64,
    /// The length of its bar, from 0 to 1: the probability, or where the score lies between the lowest and the highest one.
    pub bar: f64,
}

/// An image with the first guesses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Its place in the test set, if it is from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// What it is, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The best three, the best first.
    pub guesses: Vec<Guess>,
    /// The picture that the model saw, as a `data:` address.
    pub image: String,
}

impl Example {
    /// The picture's red, green and blue bytes, row by row.
    pub fn rgb(&self) -> Result<Vec<u8>> {
        let png = STANDARD.decode(self.image.strip_prefix(PNG_ADDRESS).unwrap_or_default())?;
        let picture = image::load_from_memory(&png)?;
        ensure!((picture.width(), picture.height()) == (SIDE as u32, SIDE as u32), "a picture of another size");
        Ok(picture.into_rgb8().into_raw())
    }

    /// Whether the first guess is what the image is.
    pub fn is_right(&self) -> bool {
        self.label.as_ref() == self.guesses.first().map(|guess| &guess.class)
    }
}

/// What the value of a guess is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// From 0 to 1; those of all classes sum up to 1.
    Probability,
    /// Any number.
    Score,
}

impl Meaning {
    /// What the values of a model are that was trained on this loss.
    pub fn of(loss: LossName) -> Self {
        match loss {
            LossName::Softmax => Self::Probability,
            LossName::Hinge => Self::Score,
        }
    }

    /// The value as it is shown: `97.3 %`, `2.31`, or `1.23e7` where there would be too many digits.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Probability => format!("{:.1} %", 100.0 * value),
            Self::Score if value.abs() >= 1e6 => format!("{value:.2e}"),
            Self::Score => format!("{value:.2}"),
        }
    }
}

impl Predictions {
    /// `scores` are those of a model with so many classes that was trained on `loss`.
    ///
    /// # Errors
    /// If they are not whole rows, or not finite.
    pub fn new(scores: Vec<f32>, classes: usize, loss: LossName) -> Result<Self> {
        ensure!(classes > 0 && scores.len().is_multiple_of(classes), "{} scores for {classes} classes", scores.len());
        ensure!(scores.iter().all(|score| score.is_finite()), "the model's scores are not finite");
        Ok(Self { scores, classes, loss })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.scores.len() / self.classes
    }

    fn scores(&self, n: usize) -> &[f32] {
        &self.scores[n * self.classes..][..self.classes]
    }

    /// The class with the highest score of image `n`, the first of equals.
    pub fn best(&self, n: usize) -> usize {
        let scores = self.scores(n);
        (1..self.classes).fold(0, |best, class| if scores[class] > scores[best] { class } else { best })
    }

    /// What each class gets of image `n`: probabilities, or scores.
    pub fn values(&self, n: usize) -> Vec<f64> {
        let scores = self.scores(n).iter().copied().map(f64::from);
        match Meaning::of(self.loss) {
            Meaning::Score => scores.collect(),
            Meaning::Probability => {
                let highest = f64::from(self.scores(n)[self.best(n)]);
                let powers: Vec<f64> = scores.map(|score| (score - highest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.iter().map(|power| power / sum).collect()
            }
        }
    }

    /// The classes of image `n`, the best first, the earlier of equals first.
    fn ranking(&self, n: usize) -> Vec<usize> {
        let scores = self.scores(n);
        let mut classes: Vec<usize> = (0..self.classes).collect();
        // Finite scores are all comparable; as for `best`, -0 and 0 are equals.
        classes.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap_or(Ordering::Equal));
        classes
    }

    /// The first guesses about image `n`.
    pub fn guesses(&self, n: usize, class_names: &[String]) -> Vec<Guess> {
        let values = self.values(n);
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let span = values[self.best(n)] - lowest;
        let bar = |value: f64| match Meaning::of(self.loss) {
            Meaning::Probability => value,
            Meaning::Score => {
                if span > 0.0 {
                    (value - lowest) / span
                } else {
                    0.0
                }
            }
        };
        let first = self.ranking(n).into_iter().take(SHOWN);
        let guess =
            |class: usize| Guess { class: class_names[class].clone(), value: values[class], bar: bar(values[class]) };
        first.map(guess).collect()
    }

    /// How sure the model is of its first guess about image `n`.
    fn confidence(&self, n: usize) -> f64 {
        let (ranking, values) = (self.ranking(n), self.values(n));
        match Meaning::of(self.loss) {
            Meaning::Probability => values[ranking[0]],
            Meaning::Score => values[ranking[0]] - ranking.get(1).map_or(0.0, |&second| values[second]),
        }
    }

    /// For each class of the labels, the image among those that `are` it that the model is surest of.
    fn surest(&self, labels: &[u32], are: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut surest: Vec<Option<(usize, f64)>> = vec![None; self.classes];
        for (n, &label) in labels.iter().enumerate().filter(|&(n, _)| are(n)) {
            let confidence = self.confidence(n);
            let found = &mut surest[label as usize];
            if found.is_none_or(|(_, before)| confidence > before) {
                *found = Some((n, confidence));
            }
        }
        surest.into_iter().flatten().map(|(n, _)| n).collect()
    }
}

/// The pixels of image `row` as red, green and blue bytes, row by row.
pub fn rgb(images: &Images, row: usize, channels_last: bool) -> Vec<u8> {
    let values = images.image(row);
    if channels_last {
        return values.to_vec();
    }
    let plane = values.len() / 3;
    (0..plane).flat_map(|pixel| [0, 1, 2].map(|channel| values[channel * plane + pixel])).collect()
}

/// A picture of 32 x 32 pixels as a `data:` address.
pub fn data_address(rgb: &[u8]) -> Result<String> {
    Ok(png_address(&png_rgb(SIDE, SIDE, rgb)?))
}

/// How the `data:` address of a PNG begins.
pub const PNG_ADDRESS: &str = "data:image/png;base64,";

/// A PNG file as a `data:` address.
pub fn png_address(png: &[u8]) -> String {
    format!("{PNG_ADDRESS}{}", STANDARD.encode(png))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanegrad::data::synthetic;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    /// The scores of the lecture's worked example, slide "Softmax vs. SVM".
    const LECTURE: [f32; 3] = [-2.85, 0.86, 0.28];

    #[test]
    fn probabilities_are_the_lectures() {
        let predictions = Predictions::new(LECTURE.to_vec(), 3, LossName::Softmax).unwrap();
        let values = predictions.values(0);
        for (value, wanted) in values.iter().zip([0.0154493157, 0.6311633536, 0.3533873307]) {
            assert!((value - wanted).abs() < 1e-7, "{value} for {wanted}");
        }
        let guesses = predictions.guesses(0, &names(3));
        assert_eq!(
            guesses.iter().map(|guess| guess.class.as_str()).collect::<Vec<_>>(),
            ["class 1", "class 2", "class 0"]
        );
        assert_eq!(Meaning::Probability.text(guesses[0].value), "63.1 %");
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let predictions = Predictions::new(vec![3e38, -3e38, 0.0], 3, LossName::Softmax).unwrap();
        assert_eq!(predictions.values(0), [1.0, 0.0, 0.0]);
        assert!(Predictions::new(vec![f32::NAN, 0.0], 2, LossName::Softmax).is_err());
        assert!(Predictions::new(vec![0.0; 3], 2, LossName::Softmax).is_err());
    }

    #[test]
    fn hinge_values_are_the_scores() {
        let predictions = Predictions::new(LECTURE.to_vec(), 3, LossName::Hinge).unwrap();
        assert_eq!(predictions.values(0), LECTURE.map(f64::from));
        assert!((predictions.confidence(0) - 0.58).abs() < 1e-6);
        assert_eq!(Meaning::Score.text(-2.85), "-2.85");
        assert_eq!(Meaning::Score.text(-1.234e19), "-1.23e19");
    }

    #[test]
    fn zeros_of_either_sign_are_equals() {
        let predictions = Predictions::new(vec![-1.0, -0.0, 0.0], 3, LossName::Hinge).unwrap();
        assert_eq!(predictions.ranking(0), [1, 2, 0]);
        assert_eq!(predictions.best(0), 1);
    }

    #[test]
    fn pixels_are_the_same_in_both_layouts() {
        let images = synthetic::generate_sized(0, 10, 10).test;
        let turned = images.channels_last(3).unwrap();
        assert_eq!(rgb(&images, 4, false), rgb(&turned, 4, true));
        assert_eq!(rgb(&images, 4, false)[..3], [0, 1024, 2048].map(|at| images.image(4)[at]));
    }
}
