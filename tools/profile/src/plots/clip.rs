//! What of a line is inside the plot.

use std::ops::Range;

/// A point of the plot.
pub(super) type Point = (f64, f64);

/// The pieces of the line through `points` that lie in a rectangle; what is no number interrupts it.
///
/// A line of one point is one piece of one point, if that lies inside.
pub(super) fn inside(points: &[Point], x: &Range<f64>, y: &Range<f64>) -> Vec<Vec<Point>> {
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    if let [(across, up)] = *points
        && (x.start..=x.end).contains(&across)
        && (y.start..=y.end).contains(&up)
    {
        pieces.push(points.to_vec());
    }
    for pair in points.windows(2) {
        let Some((from, to)) = segment_inside(pair[0], pair[1], x, y) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
    }
    pieces
}

/// The part of a segment that lies in a rectangle (Liang and Barsky).
fn segment_inside(from: Point, to: Point, x: &Range<f64>, y: &Range<f64>) -> Option<(Point, Point)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    if !(dx.is_finite() && dy.is_finite()) {
        return None;
    }
    let (mut first, mut last) = (0.0_f64, 1.0_f64);
    let borders = [(-dx, from.0 - x.start), (dx, x.end - from.0), (-dy, from.1 - y.start), (dy, y.end - from.1)];
    for (outwards, room) in borders {
        if outwards == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if outwards < 0.0 {
            first = first.max(room / outwards);
        } else {
            last = last.min(room / outwards);
        }
    }
    // Far ends leave rounding errors larger than the plot.
    let at = |part: f64| ((from.0 + part * dx).clamp(x.start, x.end), (from.1 + part * dy).clamp(y.start, y.end));
    // The ends themselves are kept as they are, so that pieces join.
    let start = if first == 0.0 { from } else { at(first) };
    let end = if last == 1.0 { to } else { at(last) };
    (first <= last).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_border() {
        let square = 0.0..1.0;
        let points = [(-1.0, 0.5), (0.5, 0.5), (0.75, 0.75), (0.75, 2.0), (0.25, 2.0), (0.25, 0.0)];
        let pieces = inside(&points, &square, &square);
        let expected = [vec![(0.0, 0.5), (0.5, 0.5), (0.75, 0.75), (0.75, 1.0)], vec![(0.25, 1.0), (0.25, 0.0)]];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn what_is_outside_or_no_number_leaves_nothing() {
        let square = 0.0..1.0;
        assert!(inside(&[(2.0, 2.0), (3.0, 2.0), (f64::NAN, 0.5), (0.5, f64::INFINITY)], &square, &square).is_empty());
        assert_eq!(inside(&[(0.5, 0.5)], &square, &square), [[(0.5, 0.5)]]);
        assert!(inside(&[], &square, &square).is_empty());
        for pieces in [
            inside(&[(-1e80, 0.3), (1e90, 0.7)], &square, &square),
            inside(&[(0.5, 0.5), (1e300, -1e299)], &square, &square),
        ] {
            assert!(pieces.iter().flatten().all(|(x, y)| square.contains(x) || *x == 1.0 && (0.0..=1.0).contains(y)));
        }
    }
}
