//! Conditions on attributes: for each of some columns, ranges of keys ([`layout::attributes`](crate::layout::attributes)) in one of
//! which a row's key must be.

use crate::layout::attributes::{Span, LAST_KEY};

/// A set of keys: sorted ranges that do not touch each other, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRanges(Vec<(u64, u64)>);

impl KeyRanges {
    /// The keys of any of some ranges. A range whose end is before its start has none; the key of a NULL is never part.
    pub fn any_of(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<(u64, u64)> = ranges
            .into_iter()
            .map(|(from, to)| (from, to.min(LAST_KEY)))
            .filter(|(from, to)| from <= to)
            .collect();
        sorted.sort_unstable();
        sorted.dedup_by(|next, before| {
            let touches = next.0 <= before.1.saturating_add(1);
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
        KeyRanges(sorted)
    }

    /// The keys that are in both sets.
    pub fn and(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.as_slice(), other.0.as_slice());
        let mut both = Vec::new();
        while let (Some(&(a, a_end)), Some(&(b, b_end))) = (left.first(), right.first()) {
            if a.max(b) <= a_end.min(b_end) {
                both.push((a.max(b), a_end.min(b_end)));
            }
            if a_end < b_end {
                left = &left[1..];
            } else {
                right = &right[1..];
            }
        }
        KeyRanges(both)
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key is among them.
    pub fn contains(&self, key: u64) -> bool {
        self.within(key, key).next().is_some()
    }

    /// The parts of the ranges that lie from `least` to `most`.
    pub fn within(&self, least: u64, most: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let first = self.0.partition_point(|&(_, to)| to < least);
        let parts = self.0[first..].iter().take_while(move |&&(from, _)| from <= most);
        parts.map(move |&(from, to)| (from.max(least), to.min(most)))
    }
}

/// What all rows of an answer must meet: on each of some columns, one of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// By column, each once.
    conditions: Vec<(usize, KeyRanges)>,
}

impl Filter {
    /// A filter that all rows meet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Demands a column to have one of the keys, on top of what is demanded of it already.
    pub fn require(&mut self, column: usize, keys: KeyRanges) {
        match self.conditions.iter_mut().find(|(other, _)| *other == column) {
            Some((_, before)) => *before = before.and(&keys),
            None => self.conditions.push((column, keys)),
        }
    }

    /// Whether all rows meet it.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether no row can meet it.
    pub fn is_impossible(&self) -> bool {
        self.conditions.iter().any(|(_, keys)| keys.is_empty())
    }

    /// Whether a row with these keys, one for each column of the index, meets it.
    pub fn is_met_by(&self, keys: &[u64]) -> bool {
        self.conditions.iter().all(|(column, ranges)| ranges.contains(keys[*column]))
    }

    /// The columns and what is demanded of them.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (usize, &KeyRanges)> {
        self.conditions.iter().map(|(column, keys)| (*column, keys))
    }
}

/// What a condition makes of the keys of a column in a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    None,
    Some,
    All,
}

impl KeyRanges {
    /// How many of the keys of a span there can be among these.
    pub(crate) fn judge(&self, span: &Span) -> Verdict {
        if !span.has_values() {
            return Verdict::None;
        }
        match self.within(span.least, span.most).next() {
            None => Verdict::None,
            Some(part) if part == (span.least, span.most) && !span.nulls => Verdict::All,
            Some(_) => Verdict::Some,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::attributes::NULL_KEY;

    /// Small keys and those at the end, so that ranges touch.
    fn key() -> impl Strategy<Value = u64> {
        prop_oneof![4 => 0u64..12, 1 => (0u64..5).prop_map(|below| NULL_KEY - below), 1 => any::<u64>()]
    }

    fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((key(), key()), 0..6)
    }

    fn is_in(ranges: &[(u64, u64)], key: u64) -> bool {
        key != NULL_KEY && ranges.iter().any(|&(from, to)| (from..=to).contains(&key))
    }

    proptest! {
        #[test]
        fn sets_are_what_their_ranges_say(a in ranges(), b in ranges(), keys in prop::collection::vec(key(), 20)) {
            let (left, right) = (KeyRanges::any_of(a.clone()), KeyRanges::any_of(b.clone()));
            for ranges in [&left, &right, &left.and(&right)] {
                prop_assert!(ranges.0.iter().all(|&(from, to)| from <= to && to <= LAST_KEY));
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
            for set in [&left, &right] {
                prop_assert!(set.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            }
            for &key in &keys {
                prop_assert_eq!(left.contains(key), is_in(&a, key));
                prop_assert_eq!(left.and(&right).contains(key), is_in(&a, key) && is_in(&b, key));
            }
            let span = Span::of(keys.iter().copied());
            let met = keys.iter().filter(|&&key| left.contains(key)).count();
            match left.judge(&span) {
                Verdict::None => prop_assert_eq!(met, 0),
                Verdict::All => prop_assert_eq!(met, keys.len()),
                Verdict::Some => {}
            }
        }

        #[test]
        fn filters_demand_all_of_their_conditions(
            conditions in prop::collection::vec((0usize..3, ranges()), 0..5),
            keys in prop::collection::vec(key(), 3),
        ) {
            let mut filter = Filter::new();
            for (column, ranges) in &conditions {
                filter.require(*column, KeyRanges::any_of(ranges.clone()));
            }
            let met = conditions.iter().all(|(column, ranges)| is_in(ranges, keys[*column]));
            prop_assert_eq!(filter.is_met_by(&keys), met);
            prop_assert!(!(met && filter.is_impossible()));
            prop_assert_eq!(filter.is_empty(), conditions.is_empty());
        }
    }
}
