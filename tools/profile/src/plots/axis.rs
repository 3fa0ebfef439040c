//! Scales, ranges and ticks.

use std::ops::Range;

/// A loss that falls (or explodes) by more than this many powers of ten is drawn on a logarithmic
/// axis, where a linear one would press most of the curve flat against an edge.
const LINEAR_DECADES: f64 = 1.5;

/// A range narrower than this part of its values is widened: tick labels would need too many
/// digits, and rounding noise would look like a trend.
const NARROWEST_RANGE: f64 = 1e-3;

/// How values turn into positions along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

impl Scale {
    /// The scale that shows these values best; non-finite values do not count.
    pub(super) fn for_values(values: &[f32]) -> Self {
        let mut finite: Vec<f32> = values.iter().copied().filter(|v| v.is_finite()).collect();
        finite.sort_unstable_by(f32::total_cmp);
        let (Some(&smallest), Some(&largest)) = (finite.first(), finite.last()) else {
            return Self::Linear;
        };
        // One lucky mini-batch with a tiny loss is no reason to change the scale.
        let low = f64::from(finite[finite.len() / 100]);
        let high = f64::from(largest);
        if smallest >= 0.0 && high > 0.0 && high > low * 10f64.powf(LINEAR_DECADES) {
            Self::Logarithmic
        } else {
            Self::Linear
        }
    }

    /// Positions of the values on this scale; NaN where a value is not finite.
    ///
    /// A logarithmic scale has no place for zero: zeros go where the smallest positive value is.
    pub(super) fn positions(self, values: &[f32]) -> Vec<f64> {
        let positive = values.iter().copied().filter(|v| v.is_finite() && *v > 0.0);
        let floor = positive.fold(f32::INFINITY, f32::min);
        let position = |&value: &f32| match self {
            _ if !value.is_finite() => f64::NAN,
            Self::Linear => f64::from(value),
            Self::Logarithmic => f64::from(value.max(floor)).log10(),
        };
        values.iter().map(position).collect()
    }
}

/// A labelled place on an axis.
#[derive(Debug)]
pub(super) struct Tick {
    pub position: f64,
    pub label: String,
}

/// The range of positions that an axis shows, and its ticks.
#[derive(Debug)]
pub(super) struct Axis {
    pub range: Range<f64>,
    pub ticks: Vec<Tick>,
}

impl Axis {
    /// An axis that ends on ticks and holds all these positions; what is not finite does not count.
    pub(super) fn around(scale: Scale, positions: &[f64]) -> Self {
        let (low, high) = bounds(positions).unwrap_or((0.0, 1.0));
        match scale {
            Scale::Linear => Self::linear(low, high),
            Scale::Logarithmic => Self::logarithmic(low, high),
        }
    }

    /// An axis that ends on ticks and reaches at least from `low` to `high`.
    pub(super) fn linear(low: f64, high: f64) -> Self {
        Self::linear_with(low, high, 6)
    }

    /// The same with at most about so many ticks.
    pub(super) fn linear_with(low: f64, high: f64, most: usize) -> Self {
        let (low, high) = widened(low, high);
        let step = round_step((high - low) / most as f64);
        let first = (low / step).floor() as i64;
        let last = (high / step).ceil() as i64;
        let largest = low.abs().max(high.abs());
        let tick = |multiple: i64| {
            let position = multiple as f64 * step;
            let label = decimal_label(position, step, largest);
            Tick { position, label }
        };
        Self { range: first as f64 * step..last as f64 * step, ticks: (first..=last).map(tick).collect() }
    }

    /// A linear axis of exactly this range, with ticks at the round numbers in it.
    pub(super) fn within(range: Range<f64>) -> Self {
        let mut axis = Self::linear(range.start, range.end);
        // The float error of a multiple must not push a tick over the end.
        let slack = 1e-9 * (range.end - range.start);
        axis.ticks.retain(|tick| tick.position >= range.start - slack && tick.position <= range.end + slack);
        Self { range, ..axis }
    }

    /// A logarithmic axis between two common logarithms.
    fn logarithmic(low: f64, high: f64) -> Self {
        let decades = high - low;
        let mantissas: &[f64] = match decades {
            ..3.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let stride = (decades / 8.0).ceil().max(1.0) as i32;
        let first = (low.floor() as i32).div_euclid(stride) * stride;
        let exponents = (first..=high.ceil() as i32).step_by(stride as usize);
        let candidates: Vec<(f64, i32)> =
            exponents.flat_map(|exponent| mantissas.iter().map(move |mantissa| (*mantissa, exponent))).collect();
        let position = |&(mantissa, exponent): &(f64, i32)| mantissa.log10() + f64::from(exponent);
        // The float error of a logarithm must not push a value that is a tick over that tick.
        let below = candidates.iter().rposition(|c| position(c) <= low + 1e-9);
        let above = candidates.iter().position(|c| position(c) >= high - 1e-9);
        let kept = &candidates[below.unwrap_or(0)..=above.unwrap_or(candidates.len() - 1)];
        // Labels such as 1,000 next to 1e10 would be hard to compare.
        let plain = kept.iter().all(|c| (-4..6).contains(&c.1));
        let tick = |c: &(f64, i32)| Tick { position: position(c), label: power_label(c.0, c.1, plain) };
        let ticks: Vec<Tick> = kept.iter().map(tick).collect();
        let top = ticks.last().map_or(high, |tick| tick.position.max(high));
        Self { range: ticks.first().map_or(low, |tick| tick.position.min(low))..top, ticks }
    }

    /// An axis of whole numbers, labelled at about `most` round ones between `first` and `last`.
    pub(super) fn counting(range: Range<f64>, first: usize, last: usize, most: usize) -> Self {
        let step = whole_step(last, most);
        let tick = |number: usize| Tick { position: number as f64, label: grouped(number) };
        let multiples = (0..=last).step_by(step).filter(|number| *number >= first);
        Self { range, ticks: multiples.map(tick).collect() }
    }
}

/// The smallest and the largest position, when there is one that is finite.
fn bounds(positions: &[f64]) -> Option<(f64, f64)> {
    let finite = positions.iter().copied().filter(|p| p.is_finite());
    finite.fold(None, |found, p| {
        let (low, high) = found.unwrap_or((p, p));
        Some((low.min(p), high.max(p)))
    })
}

/// The range, widened around its middle when it is too narrow to be labelled.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let largest = low.abs().max(high.abs());
    if high - low > largest * NARROWEST_RANGE {
        return (low, high);
    }
    let middle = f64::midpoint(low, high);
    let reach = if largest == 0.0 { 1.0 } else { largest * 0.1 };
    (middle - reach, middle + reach)
}

/// The smallest of 1, 2, 5, 10, 20, 50, ... (and of their tenths, ...) not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|f| f * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

/// The round whole step that gives at most `most` steps on the way to `last`.
pub(super) fn whole_step(last: usize, most: usize) -> usize {
    round_step((last as f64 / most as f64).max(1.0)).round() as usize
}

/// A tick of a linear axis whose largest value is `largest`, with the digits that the step needs.
pub(super) fn decimal_label(value: f64, step: f64, largest: f64) -> String {
    let exponent = |number: f64| (number.log10() + 1e-9).floor() as i32;
    if value == 0.0 {
        "0".into()
    } else if largest >= 1e6 || step < 1e-5 {
        let digits = (exponent(largest) - exponent(step)).max(0) as usize;
        format!("{value:.digits$e}")
    } else {
        let digits = (-exponent(step)).max(0) as usize;
        format!("{value:.digits$}")
    }
}

/// A tick of a logarithmic axis: `0.02` and `5,000` when `plain`, else `2e-2` and `5e3`.
fn power_label(mantissa: f64, exponent: i32, plain: bool) -> String {
    let value = mantissa * 10f64.powi(exponent);
    match exponent {
        _ if !plain => format!("{mantissa}e{exponent}"),
        ..0 => format!("{value:.*}", exponent.unsigned_abs() as usize),
        // A power of ten may fall just short of the whole number it stands for.
        _ => grouped(value.round() as usize),
    }
}

/// A whole number with its thousands set apart: `20,000`.
pub(super) fn grouped(number: usize) -> String {
    crate::screen::grouped(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn linear_axis_ends_on_round_ticks() {
        let axis = Axis::linear(1.53, 2.31);
        assert!((axis.range.start - 1.4).abs() < 1e-9 && (axis.range.end - 2.4).abs() < 1e-9);
        assert_eq!(labels(&axis), ["1.4", "1.6", "1.8", "2.0", "2.2", "2.4"]);
    }

    #[test]
    fn equal_values_get_a_range() {
        for value in [0.0, 2.3, -7.0, 1e30] {
            let axis = Axis::linear(value, value);
            assert!(axis.range.start < value && value < axis.range.end);
            assert!((3..12).contains(&axis.ticks.len()), "{axis:?}");
        }
    }

    #[test]
    fn logarithmic_axis_marks_ones_twos_and_fives() {
        let axis = Axis::around(Scale::Logarithmic, &[785f64.log10(), 5.1f64.log10()]);
        let expected = ["5", "10", "20", "50", "100", "200", "500", "1,000"];
        assert_eq!(labels(&axis), expected);
    }

    #[test]
    fn enormous_spans_keep_few_ticks() {
        let axis = Axis::around(Scale::Logarithmic, &[-37.2, 38.1]);
        assert!((4..12).contains(&axis.ticks.len()), "{axis:?}");
        assert!(axis.range.start <= -37.2 && axis.range.end >= 38.1);
    }

    #[test]
    fn what_is_not_finite_does_not_stretch_an_axis() {
        let axis = Axis::around(Scale::Linear, &[f64::INFINITY, 1.53, f64::NAN, 2.31, f64::NEG_INFINITY]);
        assert_eq!(labels(&axis), labels(&Axis::linear(1.53, 2.31)));
        assert!(Axis::around(Scale::Linear, &[f64::INFINITY]).range.end.is_finite());
    }

    #[test]
    fn scale_follows_the_span() {
        assert_eq!(Scale::for_values(&[2.3, 1.5]), Scale::Linear);
        assert_eq!(Scale::for_values(&[785.0, 5.0]), Scale::Logarithmic);
        assert_eq!(Scale::for_values(&[785.0, 0.0]), Scale::Logarithmic);
        assert_eq!(Scale::for_values(&[785.0, -0.1]), Scale::Linear);
        assert_eq!(Scale::for_values(&[f32::NAN, f32::INFINITY]), Scale::Linear);
        let mut lucky = vec![1.5; 1000];
        lucky[500] = 1e-4;
        assert_eq!(Scale::for_values(&lucky), Scale::Linear);
    }

    #[test]
    fn zero_and_non_finite_values_have_a_position_or_nan() {
        let positions = Scale::Logarithmic.positions(&[100.0, 0.0, f32::NAN, f32::INFINITY]);
        assert_eq!(positions[..2], [2.0, 2.0]);
        assert!(positions[2].is_nan() && positions[3].is_nan());
    }

    #[test]
    fn counting_axis_has_whole_ticks() {
        assert_eq!(labels(&Axis::counting(0.0..2.0, 1, 1, 8)), ["1"]);
        let steps = Axis::counting(0.0..2352.0, 0, 2352, 8);
        assert_eq!(labels(&steps), ["0", "500", "1,000", "1,500", "2,000"]);
    }

    #[test]
    fn labels_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(power_label(2.0, -2, true), "0.02");
        assert_eq!(power_label(5.0, 3, true), "5,000");
        assert_eq!(power_label(1.0, 20, false), "1e20");
        assert_eq!(decimal_label(0.25, 0.05, 1.0), "0.25");
        assert_eq!(decimal_label(40.0, 10.0, 50.0), "40");
        assert_eq!(decimal_label(1.05e30, 5e28, 1.1e30), "1.05e30");
    }
}
