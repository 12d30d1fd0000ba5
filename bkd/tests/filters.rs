//! Filtered searches against what a look at every row says; attributes through pages, merges and verification.

mod common;

use std::sync::Arc;

use bkd::layout::attributes::{LAST_KEY, NULL_KEY};
use bkd::{
    check_segment, export, BuildOptions, Filter, Input, KeyRanges, MemStore, Metric, Query, RowCheck, Search,
    Segment, Tid, Within,
};
use common::*;
use proptest::prelude::*;

/// How the keys of a column are spread: this decides how many bytes they take in a leaf.
#[derive(Clone, Copy, Debug)]
enum Spread {
    One,
    Few,
    Bytes,
    Words,
    Any,
    Null,
    /// As the first coordinate goes, so that leaves have ranges of their own.
    Clustered,
}

const SPREADS: [Spread; 7] =
    [Spread::One, Spread::Few, Spread::Bytes, Spread::Words, Spread::Any, Spread::Null, Spread::Clustered];

impl Spread {
    fn key(self, bits: u64, row: &[f32]) -> u64 {
        // A quarter of the rows are on the edge of what keys can be.
        let (edge, bits) = (bits.is_multiple_of(4), bits / 4);
        match self {
            Spread::One => 7,
            Spread::Few if edge => NULL_KEY,
            Spread::Few => bits % 3,
            Spread::Bytes => 1000 + bits % 256,
            Spread::Words if edge => NULL_KEY,
            Spread::Words => (1 << 40) + bits % 100_000,
            Spread::Any if edge => [0, 1, LAST_KEY - 1, LAST_KEY, NULL_KEY][(bits % 5) as usize],
            Spread::Any => bits.wrapping_mul(0x9e37_79b9_7f4a_7c15).min(LAST_KEY),
            Spread::Null => NULL_KEY,
            Spread::Clustered => ((f64::from(row[0]).clamp(-1e6, 1e6) + 1e6) * 100.0) as u64,
        }
    }
}

/// Rows with attributes, in segments.
struct Filtered {
    metric: Metric,
    rows: Vec<Vec<f32>>,
    keys: Vec<Vec<u64>>,
    segments: Vec<Built>,
}

impl Filtered {
    /// `None` if no row has a place in the trees.
    fn new(
        metric: Metric,
        rows: &[Vec<f32>],
        spreads: &[Spread],
        bits: &[u64],
        parts: usize,
        leaf_size: usize,
        sketch: u32,
    ) -> Option<Self> {
        let (prepared, rows) = prepare_all(metric, rows);
        let dims = rows.first()?.len();
        let key = |at: usize, column: usize| {
            spreads[column].key(bits[(at * 31 + column) % bits.len()].wrapping_add(at as u64), &rows[at])
        };
        let keys: Vec<Vec<u64>> =
            (0..rows.len()).map(|at| (0..spreads.len()).map(|column| key(at, column)).collect()).collect();
        let part = rows.len().div_ceil(parts);
        let segments = (0..rows.len()).step_by(part).map(|from| {
            let range = from..(from + part).min(rows.len());
            let tids: Vec<Tid> = range.clone().map(tid).collect();
            let input = Input {
                metric,
                dims,
                vectors: &prepared[range.start * dims..range.end * dims],
                slack: None,
                tids: &tids,
                columns: spreads.len(),
                keys: &keys[range].concat(),
            };
            Built::with(
                &input,
                &BuildOptions { leaf_size: Some(leaf_size), sketch: Some(sketch), ..BuildOptions::default() },
            )
        });
        Some(Filtered { metric, segments: segments.collect(), rows, keys })
    }

    fn stores(&self) -> Vec<(Arc<Segment>, &MemStore)> {
        self.segments.iter().map(|built| (built.segment.clone(), &built.store)).collect()
    }

    fn search(&self, query: &Query, filter: &Filter) -> Search<&MemStore> {
        let mut search = Search::new(query.clone(), self.stores(), Vec::new());
        search.set_filter(filter.clone());
        search
    }

    /// Values of the rows that meet a filter, in order.
    fn values(&self, query: &[f32], filter: &Filter) -> Vec<f64> {
        let met = (0..self.rows.len()).filter(|&at| filter.is_met_by(&self.keys[at]));
        let mut values: Vec<f64> =
            met.map(|at| operator(self.metric, Sum::Sequential, query, &self.rows[at])).collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

/// A condition by way of the keys of two rows, so that it is met by some.
#[derive(Clone, Debug)]
struct Condition {
    column: prop::sample::Index,
    /// Rows whose keys are ends of ranges, and whether it is that key alone.
    ranges: Vec<(prop::sample::Index, prop::sample::Index, bool)>,
    /// Shifts an end by one.
    beside: bool,
}

impl Condition {
    fn keys(&self, keys: &[Vec<u64>], column: usize) -> KeyRanges {
        let of = |at: &prop::sample::Index| keys[at.index(keys.len())][column];
        KeyRanges::any_of(self.ranges.iter().map(|(from, to, single)| {
            let (from, to) = (of(from), if *single { of(from) } else { of(to) });
            (from.min(to), from.max(to).saturating_sub(u64::from(self.beside)))
        }))
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    let range = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>());
    let ranges = prop_oneof![6 => prop::collection::vec(range.clone(), 1..4), 1 => prop::collection::vec(range, 17..40)];
    (any::<prop::sample::Index>(), ranges, any::<bool>()).prop_map(|(column, ranges, beside)| Condition {
        column,
        ranges,
        beside,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn filtered_searches_are_exact(
        rows in vectors(),
        metric in prop::sample::select(&METRICS[..]),
        spreads in prop::collection::vec(prop::sample::select(&SPREADS[..]), 1..4),
        bits in prop::collection::vec(any::<u64>(), 97),
        (parts, leaf_size, sketch) in (1usize..4, 1usize..60, sketches()),
        conditions in prop::collection::vec(condition(), 0..3),
        expect in prop::option::of(1usize..300),
    ) {
        let index = Filtered::new(metric, &rows, &spreads, &bits, parts, leaf_size, sketch);
        prop_assume!(index.is_some());
        let index = index.unwrap();
        let mut filter = Filter::new();
        for condition in &conditions {
            let column = condition.column.index(spreads.len());
            filter.require(column, condition.keys(&index.keys, column));
        }
        for query in queries(&index.rows) {
            let Ok(prepared) = Query::new(metric, &query) else { continue };
            let expected = index.values(&query, &filter);
            let value = |tid| operator(metric, Sum::Sequential, &query, &index.rows[common::index(tid)]);
            let mut search = index.search(&prepared, &filter);
            if let Some(rows) = expect {
                search.expect(rows);
            }
            let found = ordered(&mut search, value, usize::MAX);
            prop_assert!(found.iter().all(|(_, tid)| filter.is_met_by(&index.keys[common::index(*tid)])));
            prop_assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), expected.clone());
            prop_assert!(search.stats().fine <= search.stats().coarse);
            // Approximate, to the end: all of them, each once.
            let mut search = index.search(&prepared, &filter);
            search.set_recall(0.5);
            let mut approximate = 0;
            while let Some(hit) = search.next(&mut || ()).unwrap() {
                prop_assert!(filter.is_met_by(&index.keys[common::index(hit.tid)]));
                approximate += 1;
            }
            prop_assert_eq!(approximate, expected.len());

            let radius = expected.get(expected.len() / 2).copied().unwrap_or(0.5);
            let mut rows = Within::new(prepared, filter.clone(), index.stores(), 0, radius);
            let mut within = Vec::new();
            while let Some(tid) = rows.next(&mut || ()).unwrap() {
                prop_assert!(filter.is_met_by(&index.keys[common::index(tid)]));
                if value(tid) <= radius {
                    within.push(value(tid));
                }
            }
            within.sort_by(f64::total_cmp);
            prop_assert_eq!(within, expected.into_iter().filter(|value| *value <= radius).collect::<Vec<_>>());
        }
    }

    #[test]
    fn attributes_survive_pages_and_are_verified(
        rows in vectors(),
        spreads in prop::collection::vec(prop::sample::select(&SPREADS[..]), 1..4),
        bits in prop::collection::vec(any::<u64>(), 97),
        (leaf_size, sketch) in (1usize..60, sketches()),
    ) {
        let index = Filtered::new(Metric::L2, &rows, &spreads, &bits, 1, leaf_size, sketch);
        prop_assume!(index.is_some());
        let index = index.unwrap();
        let Built { segment, store } = &index.segments[0];
        let mut seen = 0;
        export(segment, &store, &mut || (), &mut |_, _, keys, tid| {
            assert_eq!(keys, index.keys[common::index(tid)]);
            seen += 1;
        }).unwrap();
        prop_assert_eq!(seen, index.rows.len());
        check_segment(segment, &store, &mut || (), &mut |finding| panic!("{finding:?}"));
        let mut check = RowCheck::new(segment.clone(), store);
        for (ordinal, tid) in (0..).zip(index.segments[0].tids()) {
            let (row, keys) = (&index.rows[common::index(tid)], &index.keys[common::index(tid)]);
            prop_assert_eq!(check.check(ordinal, bkd::Body::Dense(row)).unwrap(), None);
            prop_assert_eq!(&check.keys(ordinal).unwrap(), keys);
        }
    }

    #[test]
    fn every_changed_code_is_noticed(
        bits in prop::collection::vec(any::<u64>(), 97),
        spread in prop::sample::select(&[Spread::Few, Spread::Bytes, Spread::Words][..]),
        at in any::<prop::sample::Index>(),
        change in 1u8..=255,
    ) {
        // Whatever a code becomes, the row is noticed; if it becomes impossible, the leaf, too.
        let rows: Vec<Vec<f32>> = (0..150).map(|at| vec![at as f32, 1.0]).collect();
        let mut index = Filtered::new(Metric::L2, &rows, &[spread], &bits, 1, 40, 0).unwrap();
        let built = &mut index.segments[0];
        let page = built.segment.attribute_pages().start;
        // Leaves of 40 vectors, so what is used is a multiple of eight but at the end.
        let used = built.store.page_mut(page).iter().rposition(|&byte| byte != 0).unwrap() + 1;
        built.store.page_mut(page)[at.index(used)] ^= change;
        let mut findings = 0;
        check_segment(&built.segment, &&built.store, &mut || (), &mut |_| findings += 1);
        let check = RowCheck::new(built.segment.clone(), &built.store);
        for (ordinal, tid) in (0..).zip(built.tids()) {
            findings += u32::from(check.keys(ordinal).ok().as_ref() != Some(&index.keys[common::index(tid)]));
        }
        prop_assert!(findings > 0);
    }
}

#[test]
fn leaves_that_cannot_match_are_not_visited() {
    let rows: Vec<Vec<f32>> = (0..4000).map(|at| vec![at as f32, 0.0]).collect();
    let (spreads, bits) = ([Spread::Clustered], [1; 1]);
    let index = Filtered::new(Metric::L2, &rows, &spreads, &bits, 2, 100, 0).unwrap();
    let query = Query::new(Metric::L2, &[3999.0, 0.0]).unwrap();
    let mut filter = Filter::new();
    let last = index.keys[249][0];
    filter.require(0, KeyRanges::any_of([(0, last)]));
    let mut search = index.search(&query, &filter);
    let mut found = 0;
    while search.next(&mut || ()).unwrap().is_some() {
        found += 1;
    }
    assert_eq!(found, 250);
    let stats = search.stats();
    assert!(stats.leaves_visited <= 4 * stats.passes, "{stats:?}");

    filter.require(0, KeyRanges::any_of([(last + 1, LAST_KEY)]));
    assert!(filter.is_impossible());
    let mut search = index.search(&query, &filter);
    assert!(search.next(&mut || ()).unwrap().is_none());
    assert_eq!(search.stats().leaves_visited, 0);
}

/// Of vectors whose sketches have fine codes, in leaves of many blocks of which some have no vector that is wanted.
#[test]
fn filters_and_long_vectors() {
    const DIMS: usize = 1030;
    let mut random = random(11);
    let mut row = || (0..DIMS).map(|at| random() / (1.0 + at as f32 / 8.0)).collect::<Vec<f32>>();
    let rows: Vec<Vec<f32>> = (0..3_000).map(|_| row()).collect();
    let bits: Vec<u64> = (0..97).map(|at| at * at).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let index =
            Filtered::new(metric, &rows, &[Spread::Clustered, Spread::Bytes], &bits, 2, 700, 40).unwrap();
        for (at, row) in rows.iter().enumerate().take(40) {
            let query: Vec<f32> = row.iter().map(|x| x * 1.1 + 0.01).collect();
            let mut filter = Filter::new();
            let (column, reach) = if at % 2 == 0 { (0, 1 << 5) } else { (1, 1 << 3) };
            let near = index.keys[at][column];
            filter.require(column, KeyRanges::any_of([(near.saturating_sub(reach), near + reach)]));
            let expected = index.values(&query, &filter);
            let prepared = Query::new(metric, &query).unwrap();
            let value = |tid| operator(metric, Sum::Sequential, &query, &index.rows[common::index(tid)]);
            let found = ordered(&mut index.search(&prepared, &filter), value, 12);
            let found: Vec<f64> = found.into_iter().map(|row| row.0).collect();
            assert_eq!(found, expected[..found.len().max(expected.len().min(12))]);
        }
    }
}
