//! An extent cut into nearly equal groups, so that no tile is a small rest.

/// Cuts `count` into as few groups of at most `most` as possible, of nearly equal size: (first, size) of each.
#[inline(always)]
pub(crate) fn groups(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    // A division takes as long as some steps of a small tile.
    let number = match count {
        0 => 0,
        _ if count <= most => 1,
        _ if count <= 2 * most => 2,
        _ => count.div_ceil(most),
    };
    // The first `longer` groups have one more than the others.
    let (size, longer) = match number {
        0 | 1 => (count, 0),
        2 => (count / 2, count % 2),
        _ => (count / number, count % number),
    };
    (0..number).map(move |i| (i * size + i.min(longer), size + usize::from(i < longer)))
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn groups_cover_the_count_evenly() {
        for count in 0..40 {
            let all: Vec<_> = groups(count, 5).collect();
            let mut next = 0;
            for &(first, size) in &all {
                assert_eq!(first, next);
                assert!((1..=5).contains(&size));
                next += size;
            }
            assert_eq!(next, count);
            assert_eq!(all.len(), count.div_ceil(5));
            let sizes = all.iter().map(|&(_, size)| size);
            assert!(sizes.clone().max().unwrap_or(0) - sizes.min().unwrap_or(0) <= 1);
        }
    }
}
