//! Where small labels go beside their points, so that none covers another.

use super::chart::Area;

/// A label nearer than this to its point needs no line to it, in pixels.
pub(super) const NEAR: f64 = 15.0;

/// Distances that are tried, one after the other, and directions at each.
const DISTANCES: [f64; 8] = [11.0, 14.0, 20.0, 28.0, 38.0, 50.0, 64.0, 80.0];
const DIRECTIONS: usize = 16;

/// Half a dot's width, and a little air.
const DOT: f64 = 4.5;

/// The middle of a label of `size` for each of the points, all in pixels, inside of `area`.
///
/// Each label takes the nearest place that covers no point, no obstacle and no label before it; points in crowds choose first, since they
/// have the least choice. One that finds none takes the nearest.
pub(super) fn place(points: &[(f64, f64)], obstacles: &[(f64, f64)], size: (f64, f64), area: &Area) -> Vec<(f64, f64)> {
    let crowd = |at: usize| points.iter().filter(|p| (p.0 - points[at].0).hypot(p.1 - points[at].1) < 40.0).count();
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(crowd(at)));
    let mut labels = points.to_vec();
    let mut placed: Vec<(f64, f64)> = Vec::new();
    for at in order {
        let is_free = |label: &(f64, f64)| {
            let (dx, dy) = (size.0 / 2.0, size.1 / 2.0);
            let is_inside = label.0 - dx >= f64::from(area.x.start)
                && label.0 + dx <= f64::from(area.x.end)
                && label.1 - dy >= f64::from(area.y.start)
                && label.1 + dy <= f64::from(area.y.end);
            let covers =
                |p: &(f64, f64), room: (f64, f64)| (p.0 - label.0).abs() < room.0 && (p.1 - label.1).abs() < room.1;
            is_inside
                && !points.iter().any(|point| covers(point, (dx + DOT, dy + DOT)))
                && !obstacles.iter().any(|obstacle| covers(obstacle, (dx + 1.0, dy + 1.0)))
                && !placed.iter().any(|other| covers(other, size))
        };
        let found = candidates(points[at]).find(is_free).or_else(|| candidates(points[at]).next());
        labels[at] = found.unwrap_or(points[at]);
        placed.push(labels[at]);
    }
    labels
}

/// Places around a point, the nearest first, above right before others.
fn candidates((x, y): (f64, f64)) -> impl Iterator<Item = (f64, f64)> {
    DISTANCES.into_iter().flat_map(move |distance| {
        (0..DIRECTIONS).map(move |step| {
            // To the right, above, below and so on: alternately to both sides.
            let turn = step.div_ceil(2) as f64 * if step % 2 == 0 { 1.0 } else { -1.0 };
            let angle = turn * std::f64::consts::TAU / DIRECTIONS as f64 - 0.4;
            (x + distance * angle.cos(), y + distance * angle.sin())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_a_crowd_cover_neither_points_nor_each_other() {
        let area = Area { x: 0..400, y: 0..400 };
        let points: Vec<(f64, f64)> =
            (0..20).map(|i| (200.0 + f64::from(i % 5) * 6.0, 200.0 + f64::from(i / 5) * 5.0)).collect();
        let line: Vec<(f64, f64)> = (0..100).map(|i| (4.0 * f64::from(i), 190.0)).collect();
        let size = (15.0, 12.0);
        let labels = place(&points, &line, size, &area);
        for (i, label) in labels.iter().enumerate() {
            assert!((7.5..=392.5).contains(&label.0) && (6.0..=394.0).contains(&label.1), "{label:?}");
            for point in &points {
                assert!((point.0 - label.0).abs() >= 7.5 || (point.1 - label.1).abs() >= 6.0, "{label:?} on {point:?}");
            }
            for place in &line {
                assert!((place.0 - label.0).abs() >= 7.5 || (place.1 - label.1).abs() >= 6.0, "{label:?} on the line");
            }
            for other in &labels[..i] {
                assert!(
                    (other.0 - label.0).abs() >= size.0 || (other.1 - label.1).abs() >= size.1,
                    "{label:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn a_point_alone_has_its_label_near() {
        let [label] = place(&[(100.0, 100.0)], &[], (15.0, 12.0), &Area { x: 0..400, y: 0..400 })[..] else { panic!() };
        assert!((label.0 - 100.0).hypot(label.1 - 100.0) < NEAR);
    }
}
