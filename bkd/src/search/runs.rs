//! Runs of neighbouring vectors of a leaf, in ascending order.

use std::ops::Range;

/// Adds vectors that come after all others.
pub(super) fn push(runs: &mut Vec<Range<u32>>, vectors: Range<u32>) {
    match runs.last_mut() {
        Some(last) if last.end == vectors.start => last.end = vectors.end,
        _ => runs.push(vectors),
    }
}

/// Takes vectors out.
pub(super) fn remove(runs: &mut Vec<Range<u32>>, vectors: &Range<u32>) {
    let rest = |run: Range<u32>| {
        let before = run.start..run.end.min(vectors.start);
        let behind = run.start.max(vectors.end)..run.end;
        [before, behind].into_iter().filter(|run| !run.is_empty())
    };
    *runs = std::mem::take(runs).into_iter().flat_map(rest).collect();
}

/// Cuts runs into parts of no more than so many vectors, at multiples of that from `first` on, and calls `each` with those of every part.
pub(super) fn cut<E>(
    runs: &[Range<u32>],
    first: u32,
    size: u32,
    mut each: impl FnMut(&[Range<u32>]) -> Result<(), E>,
) -> Result<(), E> {
    let mut part: Vec<Range<u32>> = Vec::new();
    let mut end = 0;
    for run in runs {
        let mut start = run.start;
        while start < run.end {
            if start >= end {
                if !part.is_empty() {
                    each(&part)?;
                    part.clear();
                }
                end = (first + (start - first) / size * size).saturating_add(size);
            }
            let stop = run.end.min(end);
            part.push(start..stop);
            start = stop;
        }
    }
    if part.is_empty() {
        return Ok(());
    }
    each(&part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_grow_and_shrink() {
        let mut runs = Vec::new();
        [2..5, 5..9, 12..20].into_iter().for_each(|vectors| push(&mut runs, vectors));
        assert_eq!(runs, [2..9, 12..20]);
        for (vectors, left) in [
            (9..12, vec![2..9, 12..20]),
            (4..6, vec![2..4, 6..9, 12..20]),
            (8..13, vec![2..4, 6..8, 13..20]),
            (0..4, vec![6..8, 13..20]),
            (7..14, vec![6..7, 14..20]),
            (0..30, vec![]),
        ] {
            remove(&mut runs, &vectors);
            assert_eq!(runs, left);
        }
    }

    #[test]
    fn runs_are_cut() {
        let (mut parts, mut number) = (Vec::new(), 0);
        let each = |part: &[Range<u32>]| -> Result<(), ()> {
            parts.extend(part.iter().map(|run| (number, run.clone())));
            number += 1;
            Ok(())
        };
        cut(&[103..105, 109..131, 155..156], 100, 10, each).unwrap();
        let expected =
            [(0, 103..105), (0, 109..110), (1, 110..120), (2, 120..130), (3, 130..131), (4, 155..156)];
        assert_eq!(parts, expected);
        cut(&[], 100, 10, |_| Err("called")).unwrap();
    }
}
