//! How far a step moves the weights, beside how large they are.

use crate::model::Tensors;
use std::collections::BTreeMap;

/// For each parameter the norm of the step over that of the values before it, in `f64`; without those whose values were 0.
///
/// About 1e-3 is a usual ratio: far above it the step size is too large, far below it too small.
pub fn ratios(before: &Tensors, after: &Tensors) -> BTreeMap<String, f64> {
    let norm = |squares: f64| squares.sqrt();
    let ratios = before.iter().zip(after).filter_map(|((name, old), (_, new))| {
        let pairs = || old.values().iter().zip(new.values()).map(|(&old, &new)| (f64::from(old), f64::from(new)));
        let weights = norm(pairs().map(|(old, _)| old * old).sum());
        let step = norm(pairs().map(|(old, new)| (new - old) * (new - old)).sum());
        (weights > 0.0).then(|| (name.clone(), step / weights))
    });
    ratios.collect()
}

/// The ratios as one line.
pub fn line(ratios: &BTreeMap<String, f64>) -> String {
    ratios.iter().map(|(name, ratio)| format!("{name} {ratio:.1e}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanegrad::tensor::Tensor;

    #[test]
    fn a_ratio_is_that_of_two_norms() {
        let tensors = |name: &str, values: &[f32]| (name.to_owned(), Tensor::from_slice([2], values).unwrap());
        let before = vec![tensors("w", &[3.0, 4.0]), tensors("zero", &[0.0, 0.0])];
        let after = vec![tensors("w", &[3.0, 3.5]), tensors("zero", &[1.0, 0.0])];
        assert_eq!(ratios(&before, &after), [("w".to_owned(), 0.1)].into());
        assert_eq!(line(&ratios(&before, &after)), "w 1.0e-1");
    }
}
