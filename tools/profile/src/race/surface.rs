//! The functions that update rules race on, and where, how long and with which settings.

use crate::args::OptimizerName;
use lanegrad::optim::Optimizer;
use std::ops::Range;

/// A function of x and y to be lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// Beale's: (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2, 0 at (3, 0.5).
    Beale,
    /// 4 x^2 - y^2: no minimum, and a point without a slope at (0, 0).
    Saddle,
    /// x^2 / 50 + 8 y^2: 400 times as steep across as along.
    Valley,
}

impl Surface {
    /// f(x, y).
    pub fn value(self, [x, y]: [f64; 2]) -> f64 {
        match self {
            Self::Beale => beale_terms([x, y]).iter().map(|term| term * term).sum(),
            Self::Saddle => 4.0 * x * x - y * y,
            Self::Valley => x * x / 50.0 + 8.0 * y * y,
        }
    }

    /// df/dx and df/dy.
    pub fn gradient(self, [x, y]: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Beale => {
                let [a, b, c] = beale_terms([x, y]);
                let dx = 2.0 * a * (y - 1.0) + 2.0 * b * (y * y - 1.0) + 2.0 * c * (y * y * y - 1.0);
                let dy = 2.0 * a * x + 4.0 * b * x * y + 6.0 * c * x * y * y;
                [dx, dy]
            }
            Self::Saddle => [8.0 * x, -2.0 * y],
            Self::Valley => [x / 25.0, 16.0 * y],
        }
    }

    /// Its formula, as pictures and reports have it.
    pub fn formula(self) -> &'static str {
        match self {
            Self::Beale => "f = (1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)²",
            Self::Saddle => "f = 4x² - y²",
            Self::Valley => "f = x²/50 + 8y²",
        }
    }

    /// What a picture of it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Beale => "Update rules on Beale's function",
            Self::Saddle => "Update rules at a saddle point",
            Self::Valley => "Update rules in a long valley",
        }
    }

    /// Where it is lowest.
    pub fn minimum(self) -> Option<[f64; 2]> {
        match self {
            Self::Beale => Some([3.0, 0.5]),
            Self::Saddle => None,
            Self::Valley => Some([0.0, 0.0]),
        }
    }

    /// The part of the plane that pictures show.
    pub fn window(self) -> (Range<f64>, Range<f64>) {
        match self {
            Self::Beale => (0.0..4.0, -1.0..2.0),
            Self::Saddle => (-0.5..0.5, -0.5..1.5),
            Self::Valley => (-10.0..2.0, -1.5..1.5),
        }
    }

    /// The heights of contour lines, ascending.
    pub fn levels(self) -> Vec<f64> {
        match self {
            Self::Beale => {
                (-2..=5).flat_map(|power| [1.0, 10f64.sqrt()].map(|part| part * 10f64.powi(power))).collect()
            }
            Self::Saddle => (-10..=5).map(|level| 0.2 * f64::from(level)).collect(),
            Self::Valley => {
                (-3..=2).flat_map(|power| [1.0, 10f64.sqrt()].map(|part| part * 10f64.powi(power))).collect()
            }
        }
    }

    /// Where the lines are, in words.
    pub fn levels_text(self) -> [&'static str; 2] {
        match self {
            Self::Beale => ["lines: half powers of ten,", "from f = 0.01 to 300,000"],
            Self::Saddle => ["lines: every 0.2,", "from f = -2 to 1"],
            Self::Valley => ["lines: half powers of ten,", "from f = 0.001 to 300"],
        }
    }

    /// Where every rule starts.
    pub fn start(self) -> [f64; 2] {
        match self {
            Self::Beale => [1.0, 1.5],
            // A little aside: exactly at y = 0 no rule ever leaves.
            Self::Saddle => [0.25, 1e-3],
            Self::Valley => [-9.0, 1.0],
        }
    }

    /// Steps that show the differences.
    pub fn steps(self) -> u64 {
        match self {
            Self::Beale => 1000,
            Self::Saddle => 200,
            Self::Valley => 400,
        }
    }

    /// The value below which a rule has got somewhere.
    pub fn goal(self) -> f64 {
        match self {
            Self::Beale => 0.1,
            Self::Saddle => -1.0,
            Self::Valley => 0.01,
        }
    }

    /// The rule with the settings that it has here; Adadelta's and RMSProp's are those of the pictures' time.
    pub fn optimizer(self, rule: OptimizerName) -> Optimizer {
        // Of rules that scale the gradient themselves, this is about the length of a step.
        let (slope, scaled, adagrad) = match self {
            Self::Beale => (1e-3, 1e-2, 0.1),
            Self::Saddle => (1e-2, 1e-2, 0.1),
            Self::Valley => (8e-2, 5e-2, 0.5),
        };
        match rule {
            OptimizerName::Sgd => Optimizer::sgd(slope),
            OptimizerName::Momentum => Optimizer::momentum(slope),
            OptimizerName::Nesterov => Optimizer::nesterov(slope),
            OptimizerName::Adagrad => Optimizer::adagrad(adagrad),
            OptimizerName::Adadelta => {
                let epsilon = if self == Self::Beale { 1e-6 } else { 1e-4 };
                Optimizer::Adadelta { rate: 1.0, rho: 0.95, epsilon }
            }
            OptimizerName::RmsProp => Optimizer::RmsProp { rate: scaled, rho: 0.9, epsilon: 1e-8 },
            OptimizerName::GravesRmsProp => Optimizer::graves_rms_prop(0.1 * scaled),
            OptimizerName::Adam => Optimizer::adam(scaled),
            OptimizerName::AdamW => Optimizer::adam_w(scaled),
            OptimizerName::Lion => Optimizer::lion(scaled),
            OptimizerName::Muon => Optimizer::muon(scaled),
        }
    }
}

/// The three terms whose squares Beale's function adds up.
fn beale_terms([x, y]: [f64; 2]) -> [f64; 3] {
    [1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y * y * y]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} instead of {expected}");
    }

    #[test]
    fn beale_is_as_computed_elsewhere() {
        for (point, value, gradient) in [
            ([1.0, 1.5], 41.25, [34.5, 92.5]),
            ([1.0, 1.6], 51.655941, [49.831632, 116.45856]),
            ([2.0, 1.7], 153.994301, [108.642926, 456.04868]),
            ([3.0, 4.0], 39062.953125, [25625.25, 57519.0]),
        ] {
            near(Surface::Beale.value(point), value);
            let [dx, dy] = Surface::Beale.gradient(point);
            near(dx, gradient[0]);
            near(dy, gradient[1]);
        }
        assert_eq!(Surface::Beale.value([3.0, 0.5]), 0.0);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let h = 1e-6;
        for surface in [Surface::Beale, Surface::Saddle, Surface::Valley] {
            let [x, y] = [0.7, -0.4];
            let value = |x, y| surface.value([x, y]);
            let numeric =
                [(value(x + h, y) - value(x - h, y)) / (2.0 * h), (value(x, y + h) - value(x, y - h)) / (2.0 * h)];
            for (analytic, numeric) in surface.gradient([x, y]).iter().zip(numeric) {
                assert!((analytic - numeric).abs() < 1e-7, "{surface:?}: {analytic} {numeric}");
            }
        }
    }
}
