//! The update rules, one parameter at a time.

/// An update rule with its settings; see [`crate::update`] for what they mean.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum UpdateRule {
    Sgd { rate: f64 },
    Momentum { rate: f64, momentum: f64 },
    Nesterov { rate: f64, momentum: f64 },
    Adagrad { rate: f64, epsilon: f64 },
    Adadelta { rate: f64, rho: f64, epsilon: f64 },
    RmsProp { rate: f64, rho: f64, epsilon: f64 },
    GravesRmsProp { rate: f64, rho: f64, momentum: f64, epsilon: f64 },
    Adam { rate: f64, beta1: f64, beta2: f64, epsilon: f64 },
    AdamW { rate: f64, beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64 },
    Lion { rate: f64, beta1: f64, beta2: f64, weight_decay: f64 },
}

impl UpdateRule {
    /// The parameter `x` after step `t` (counted from 1) for the gradient `g`, all of it; updates its `state`.
    pub fn step(self, t: i32, x: f64, g: f64, state: &mut [f64; 3]) -> f64 {
        let average = |decay: f64, average: f64, value: f64| decay * average + (1.0 - decay) * value;
        let [a, b, c] = state;
        match self {
            Self::Sgd { rate } => x - rate * g,
            Self::Momentum { rate, momentum } => {
                *a = momentum * *a - rate * g;
                x + *a
            }
            Self::Nesterov { rate, momentum } => {
                let before = *a;
                *a = momentum * *a - rate * g;
                x - momentum * before + (1.0 + momentum) * *a
            }
            Self::Adagrad { rate, epsilon } => {
                *a += g * g;
                x - rate * g / (a.sqrt() + epsilon)
            }
            Self::Adadelta { rate, rho, epsilon } => {
                *a = average(rho, *a, g * g);
                let step = -((*b + epsilon) / (*a + epsilon)).sqrt() * g;
                *b = average(rho, *b, step * step);
                x + rate * step
            }
            Self::RmsProp { rate, rho, epsilon } => {
                *a = average(rho, *a, g * g);
                x - rate * g / (a.sqrt() + epsilon)
            }
            Self::GravesRmsProp { rate, rho, momentum, epsilon } => {
                *a = average(rho, *a, g * g);
                *b = average(rho, *b, g);
                *c = momentum * *c - rate * g / (*a - *b * *b + epsilon).sqrt();
                x + *c
            }
            Self::Adam { rate, beta1, beta2, epsilon } => {
                *a = average(beta1, *a, g);
                *b = average(beta2, *b, g * g);
                let (mean, square) = (*a / (1.0 - beta1.powi(t)), *b / (1.0 - beta2.powi(t)));
                x - rate * mean / (square.sqrt() + epsilon)
            }
            Self::AdamW { rate, beta1, beta2, epsilon, weight_decay } => {
                let x = x - rate * weight_decay * x;
                Self::Adam { rate, beta1, beta2, epsilon }.step(t, x, g, state)
            }
            Self::Lion { rate, beta1, beta2, weight_decay } => {
                let direction = average(beta1, *a, g);
                *a = average(beta2, *a, g);
                let sign = if direction == 0.0 { 0.0 } else { direction.signum() };
                x - rate * (sign + weight_decay * x)
            }
        }
    }
}
