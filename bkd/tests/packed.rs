//! Searches of packed values against all values sorted by what the SQL operator returns, with data that is made to hurt: equal values,
//! equal distances, empty vectors, elements of all sizes.

use std::sync::Arc;

use bkd::layout::attributes::NULL_KEY;
use bkd::layout::{tids, PAYLOAD};
use bkd::{
    check_segment, export, pack_bits, pack_sparse, BitMetric, Body, Directory, Everything, Extent, Filter,
    KeyRanges, MemStore, Metric, PackedInput, PackedQuery, PackedSearch, PackedWithin, Packing, Placement,
    Progress, RowCheck, Segment, Space, Tid,
};
use proptest::prelude::*;

const COLUMNS: usize = 2;

/// A value as SQL has it: bits, or indices and elements.
#[derive(Clone, Debug)]
enum Value {
    Bits(Vec<bool>),
    Sparse(Vec<(u32, f32)>),
}

impl Value {
    fn pack(&self, packing: Packing) -> (Placement, Vec<u8>) {
        let mut packed = Vec::new();
        match (self, packing) {
            (Value::Bits(bits), Packing::Bits(_)) => {
                let byte = |bits: &[bool]| (0..).zip(bits).map(|(i, &bit)| u8::from(bit) << (7 - i)).sum();
                pack_bits(&bits.chunks(8).map(byte).collect::<Vec<u8>>(), &mut packed);
                (Placement::Ranked, packed)
            }
            (Value::Sparse(elements), Packing::Sparse(metric)) => {
                let values: Vec<f32> = elements.iter().map(|element| element.1).collect();
                (pack_sparse(metric, elements.iter().map(|element| element.0), &values, &mut packed), packed)
            }
            _ => unreachable!(),
        }
    }
}

/// What the SQL operator returns, whichever way it adds up: forwards or backwards.
fn operator(packing: Packing, a: &Value, b: &Value, backwards: bool) -> f64 {
    match (packing, a, b) {
        (Packing::Bits(metric), Value::Bits(a), Value::Bits(b)) => {
            let count =
                |test: fn(bool, bool) -> bool| a.iter().zip(b).filter(|(&a, &b)| test(a, b)).count() as f64;
            match metric {
                BitMetric::Hamming => count(|a, b| a != b),
                BitMetric::Jaccard if count(|a, b| a && b) == 0.0 => 1.0,
                BitMetric::Jaccard => 1.0 - count(|a, b| a && b) / count(|a, b| a || b),
            }
        }
        (Packing::Sparse(metric), Value::Sparse(a), Value::Sparse(b)) => {
            let of = |elements: &[(u32, f32)], index| {
                elements.binary_search_by_key(&index, |element| element.0).map_or(0.0, |at| elements[at].1)
            };
            let mut indices: Vec<u32> = a.iter().chain(b).map(|element| element.0).collect();
            indices.sort_unstable_by_key(|&index| if backwards { u32::MAX - index } else { index });
            indices.dedup();
            let sum = |term: fn(f32, f32) -> f32| {
                indices.iter().fold(0.0f32, |sum, &index| sum + term(of(a, index), of(b, index)))
            };
            match metric {
                Metric::L2 => f64::from(sum(|x, y| (x - y) * (x - y))).sqrt(),
                Metric::L1 => f64::from(sum(|x, y| (x - y).abs())),
                Metric::InnerProduct => -f64::from(sum(|x, y| x * y)),
                Metric::Cosine => {
                    let norms = f64::from(sum(|x, _| x * x)) * f64::from(sum(|_, y| y * y));
                    1.0 - (f64::from(sum(|x, y| x * y)) / norms.sqrt()).clamp(-1.0, 1.0)
                }
            }
        }
        _ => unreachable!(),
    }
}

/// An index in memory: two segments and a delta.
struct Index {
    packing: Packing,
    dims: usize,
    values: Vec<Value>,
    keys: Vec<u64>,
    segments: Vec<(Arc<Segment>, MemStore)>,
    /// Rows of the delta.
    delta: Vec<usize>,
}

fn tid(row: usize) -> Tid {
    Tid::new(row as u32 / 100, (row % 100) as u16 + 1)
}

fn row(tid: Tid) -> usize {
    tid.block as usize * 100 + usize::from(tid.offset) - 1
}

fn build(packing: Packing, dims: usize, bodies: &[(Vec<u8>, Tid, &[u64])]) -> (Arc<Segment>, MemStore) {
    let mut packed = Vec::new();
    let mut ends = Vec::new();
    for (body, ..) in bodies {
        packed.extend_from_slice(body);
        ends.push(packed.len());
    }
    let tids: Vec<Tid> = bodies.iter().map(|body| body.1).collect();
    let keys: Vec<u64> = bodies.iter().flat_map(|body| body.2.iter().copied()).collect();
    let input = PackedInput {
        packing,
        dims,
        bodies: &packed,
        ends: &ends,
        tids: &tids,
        columns: COLUMNS,
        keys: &keys,
    };
    let mut store = MemStore::new();
    let progress = Progress::default();
    let mut directory = input.build(&progress, &mut store).unwrap();
    assert_eq!(progress.vectors_done.into_inner(), bodies.len() as u64);
    directory.extents = vec![Extent { start: 1, blocks: store.len() as u32 }];
    let directory = Directory::decode(&directory.encode().unwrap()).unwrap();
    (Arc::new(Segment::open(7, directory).unwrap()), store)
}

impl Index {
    fn new(packing: Packing, dims: usize, mut values: Vec<Value>) -> Self {
        values.retain(|value| value.pack(packing).0 == Placement::Ranked);
        let keys: Vec<u64> = (0..values.len() as u64)
            .flat_map(|at| [at % 5, if at % 7 == 0 { NULL_KEY } else { at * 1000 }])
            .collect();
        let bodies: Vec<(Vec<u8>, Tid, &[u64])> = values
            .iter()
            .enumerate()
            .map(|(at, value)| (value.pack(packing).1, tid(at), &keys[at * COLUMNS..][..COLUMNS]))
            .collect();
        let (first, rest) = bodies.split_at(bodies.len() * 2 / 3);
        let (second, last) = rest.split_at(rest.len() / 2);
        let filled = [first, second].into_iter().filter(|part| !part.is_empty());
        let segments = filled.map(|part| build(packing, dims, part)).collect();
        let delta = (values.len() - last.len()..values.len()).collect();
        Index { packing, dims, segments, delta, keys, values }
    }

    fn readers(&self) -> Vec<(Arc<Segment>, &MemStore)> {
        self.segments.iter().map(|(segment, store)| (segment.clone(), store)).collect()
    }

    fn keys(&self, row: usize) -> &[u64] {
        &self.keys[row * COLUMNS..][..COLUMNS]
    }

    /// A query, and the keys of the rows of the delta that meet a filter.
    fn prepare(&self, query: &Value, filter: &Filter) -> Option<(PackedQuery, Vec<(f32, Tid)>)> {
        let (placement, body) = query.pack(self.packing);
        if placement != Placement::Ranked {
            return None;
        }
        let mut query = PackedQuery::new(self.packing, self.dims, &body);
        let rows = self.delta.iter().filter(|&&row| filter.is_met_by(self.keys(row)));
        let delta =
            rows.map(|&row| (query.key(&self.values[row].pack(self.packing).1).unwrap(), tid(row))).collect();
        Some((query, delta))
    }

    /// Rows and bounds in the order in which a search hands them over, up to a radius if there is one.
    fn search(
        &self,
        query: &Value,
        filter: &Filter,
        expected: Option<usize>,
        radius: Option<f64>,
    ) -> Option<Vec<(usize, f64)>> {
        let (query, delta) = self.prepare(query, filter)?;
        let mut search = PackedSearch::new(query, filter.clone(), self.readers(), delta);
        if let Some(rows) = expected {
            search.expect(rows);
        }
        if let Some(radius) = radius {
            search.stop_after(radius);
        }
        let mut found = Vec::new();
        while let Some(hit) = search.next(&mut || ()).unwrap() {
            found.push((row(hit.tid), hit.bound));
        }
        Some(found)
    }

    /// All rows come, once, in the order of bounds that are below what the operator returns but close.
    fn check_search(&self, query: &Value, filter: &Filter, expected: Option<usize>) {
        let Some(found) = self.search(query, filter, expected, None) else { return };
        let mut rows: Vec<usize> = found.iter().map(|hit| hit.0).collect();
        rows.sort_unstable();
        let wanted: Vec<usize> =
            (0..self.values.len()).filter(|&row| filter.is_met_by(self.keys(row))).collect();
        assert_eq!(rows, wanted);
        assert!(found.is_sorted_by(|a, b| a.1 <= b.1), "bounds descend");
        for (row, bound) in found {
            for backwards in [false, true] {
                let distance = operator(self.packing, &self.values[row], query, backwards);
                assert!(bound <= distance, "row {row} has the bound {bound} and the distance {distance}");
                match self.packing {
                    Packing::Bits(BitMetric::Hamming) => assert_eq!(bound, distance),
                    Packing::Bits(BitMetric::Jaccard) => assert!(bound > distance - 1e-7),
                    Packing::Sparse(_) => {}
                }
            }
        }
    }

    /// Whatever way the operator adds up, no row within a radius is left out, in order or without; and none comes that is
    /// clearly beyond. Radii are distances of rows, and what is just below.
    fn check_within(&self, query: &Value, filter: &Filter, at: usize) {
        let Some(all) = self.search(query, filter, None, None) else { return };
        let Some(row) = all.get(at % all.len().max(1)).map(|hit| hit.0) else { return };
        let distance = operator(self.packing, &self.values[row], query, false);
        for radius in [distance, distance.next_down(), -distance, f64::MAX, f64::NEG_INFINITY] {
            let ordered = self.search(query, filter, None, Some(radius)).expect("as before");
            let expected: Vec<_> = all.iter().copied().filter(|hit| hit.1 <= radius).collect();
            assert_eq!(ordered, expected, "up to {radius}");
            let (asked, delta) = self.prepare(query, filter).expect("as before");
            let limit = PackedQuery::largest_key(radius);
            let mut rows: Vec<usize> =
                delta.iter().filter(|(key, _)| *key <= limit).map(|(_, tid)| self::row(*tid)).collect();
            let mut within =
                PackedWithin::new(asked, filter.clone(), self.readers(), delta.len() as u64, radius);
            while let Some(tid) = within.next(&mut || ()).unwrap() {
                rows.push(self::row(tid));
            }
            rows.sort_unstable();
            let is_near = |backwards| {
                move |row: &usize| operator(self.packing, &self.values[*row], query, backwards) <= radius
            };
            for backwards in [false, true] {
                let mut near = (0..self.values.len())
                    .filter(|&row| filter.is_met_by(self.keys(row)))
                    .filter(is_near(backwards));
                assert!(
                    near.all(|row| rows.binary_search(&row).is_ok()),
                    "a row within {radius} is left out"
                );
            }
            // A search raises a key to its leaf's bound, so it may find a little less.
            assert!(expected.iter().all(|hit| rows.binary_search(&hit.0).is_ok()));
            if matches!(self.packing, Packing::Bits(BitMetric::Hamming)) {
                assert_eq!(rows.len(), expected.len());
            }
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (segment, store) in &self.segments {
            check_segment(segment, store, &mut || (), &mut |finding| found.push(finding.problem));
        }
        found
    }
}

fn packings() -> impl Strategy<Value = Packing> {
    prop_oneof![
        Just(Packing::Bits(BitMetric::Hamming)),
        Just(Packing::Bits(BitMetric::Jaccard)),
        Just(Packing::Sparse(Metric::L2)),
        Just(Packing::Sparse(Metric::Cosine)),
        Just(Packing::Sparse(Metric::InnerProduct)),
        Just(Packing::Sparse(Metric::L1)),
    ]
}

/// Bit strings: random, sparse, almost equal to one, without any bit, with all.
fn bits(dims: usize) -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => prop::collection::vec(any::<bool>(), dims),
        2 => prop::collection::vec(prop::bool::weighted(0.05), dims),
        2 => (0..dims).prop_map(move |flipped| (0..dims).map(|i| (i % 3 == 0) != (i == flipped)).collect()),
        1 => Just(vec![false; dims]),
        1 => Just(vec![true; dims]),
    ]
    .prop_map(Value::Bits)
}

/// Sparse vectors, some of whose elements are the same in many.
fn sparse(dims: usize) -> impl Strategy<Value = Value> {
    let element = prop_oneof![
        6 => -4.0f32..4.0,
        2 => prop::sample::select(vec![1.0f32, -1.0, 0.5, 3.0]),
        1 => prop::sample::select(vec![1e-40f32, -1e-25, 1e-10, 7e6, -1e12, 1e14]),
    ];
    prop::collection::btree_map(0..dims as u32, element, 0..60.min(dims + 1))
        .prop_map(|map| Value::Sparse(map.into_iter().filter(|element| element.1 != 0.0).collect()))
}

fn value(packing: Packing, dims: usize) -> BoxedStrategy<Value> {
    match packing {
        Packing::Bits(_) => bits(dims).boxed(),
        Packing::Sparse(_) => sparse(dims).boxed(),
    }
}

fn tables() -> impl Strategy<Value = (Packing, usize, Vec<Value>, Vec<Value>)> {
    let dims = prop_oneof![1usize..10, 60usize..70, Just(128usize), 190usize..700, Just(5000usize)];
    (packings(), dims).prop_flat_map(|(packing, dims)| {
        let rows = prop::collection::vec(value(packing, dims), 1..200);
        let queries = prop::collection::vec(value(packing, dims), 1..4);
        (Just(packing), Just(dims), rows, queries)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn searches_are_exact((packing, dims, mut rows, queries) in tables(), copies in 0usize..4, expected in 0usize..500, within in 0usize..600) {
        let some: Vec<Value> = rows.iter().take(40).cloned().collect();
        for _ in 0..copies {
            rows.extend_from_slice(&some);
        }
        let index = Index::new(packing, dims, rows);
        prop_assert_eq!(index.problems(), Vec::<String>::new());
        let mut filter = Filter::new();
        filter.require(0, KeyRanges::any_of([(1, 2), (4, 4)]));
        filter.require(1, KeyRanges::any_of([(0, 150_000)]));
        for query in queries.iter().chain(index.values.first()) {
            for expected in [None, Some(expected)] {
                index.check_search(query, &Filter::new(), expected);
                index.check_search(query, &filter, expected);
            }
            for filter in [&Filter::new(), &filter] {
                index.check_within(query, filter, within);
            }
        }
    }

    #[test]
    fn merges_keep_every_value((packing, dims, rows, _) in tables()) {
        let index = Index::new(packing, dims, rows);
        let mut bodies: Vec<(Vec<u8>, Tid, Vec<u64>)> = Vec::new();
        for (segment, store) in &index.segments {
            export(segment, store, &mut || (), &mut |body: Body<'_>, slack, keys, tid| {
                assert_eq!(slack, 0.0);
                bodies.push((body.packed().to_vec(), tid, keys.to_vec()));
            })
            .unwrap();
        }
        for (body, tid, keys) in &bodies {
            prop_assert_eq!(body, &index.values[row(*tid)].pack(packing).1);
            prop_assert_eq!(&keys[..], index.keys(row(*tid)));
        }
        prop_assert_eq!(bodies.len() + index.delta.len(), index.values.len());
        if !bodies.is_empty() {
            let borrowed: Vec<_> =
                bodies.iter().map(|(body, tid, keys)| (body.clone(), *tid, keys.as_slice())).collect();
            let (segment, store) = build(packing, dims, &borrowed);
            let mut found = Vec::new();
            check_segment(&segment, &&store, &mut || (), &mut |finding| found.push(finding.problem));
            prop_assert_eq!(found, Vec::<String>::new());
        }
    }

    #[test]
    fn a_row_is_where_it_should_be((packing, dims, rows, others) in tables()) {
        let index = Index::new(packing, dims, rows);
        for (segment, store) in &index.segments {
            let mut check = RowCheck::new(segment.clone(), store);
            for ordinal in 0..segment.vectors() {
                let (page, slot) = (ordinal as usize / tids::PER_PAGE, ordinal as usize % tids::PER_PAGE);
                let page = bkd::PageRead::page(
                    store, bkd::layout::PageKind::Tids, segment.tid_pages().start + page as u32).unwrap();
                let row = row(tids::get(page, slot));
                let body = index.values[row].pack(packing).1;
                prop_assert_eq!(check.check(ordinal, Body::Packed(&body)), Ok(None));
                prop_assert_eq!(check.keys(ordinal).unwrap(), index.keys(row));
                for other in others.iter().map(|other| other.pack(packing).1).filter(|other| *other != body) {
                    prop_assert!(check.check(ordinal, Body::Packed(&other)).unwrap().is_some());
                }
            }
            prop_assert!(check.check(segment.vectors(), Body::Packed(&[0; 8])).is_err());
            prop_assert!(check.check(0, Body::Dense(&[0.0])).is_err());
        }
    }

    /// Whatever is on the pages: an error or an answer, and the check finds what is not as it was built.
    #[test]
    fn damage_is_survived(
        (packing, dims, rows, queries) in tables(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..PAYLOAD, 1u8..=255), 1..4),
    ) {
        let mut index = Index::new(packing, dims, rows);
        let Some((segment, store)) = index.segments.first_mut() else { return Ok(()) };
        let leaves = segment.leaf_pages().len();
        let mut changed = false;
        for (page, at, mask) in damages {
            let page = page.index(leaves) as u32;
            let before = *store.page_mut(page);
            store.page_mut(page)[at] ^= mask;
            changed |= *store.page_mut(page) != before;
        }
        let found = index.problems();
        // Half of an element of a sparse vector may be damaged so that it is an element of its size, and damages may undo each other.
        prop_assert!(!found.is_empty() || !changed || queries.is_empty() || index.is_consistent());
        let (segment, store) = &index.segments[0];
        for query in &queries {
            let (placement, body) = query.pack(packing);
            if placement == Placement::Ranked {
                let query = PackedQuery::new(packing, dims, &body);
                let mut search = PackedSearch::new(query, Filter::new(), vec![(segment.clone(), store)], Vec::new());
                let mut rows = 0;
                while let Ok(Some(_)) = search.next(&mut || ()) {
                    rows += 1;
                    prop_assert!(rows <= segment.vectors());
                }
            }
        }
        let _ = export(segment, store, &mut || (), &mut |_, _, _, _| ());
    }
}

impl Index {
    /// Whether every value that can be read from the segments is one that the builder could have put there.
    fn is_consistent(&self) -> bool {
        self.segments.iter().all(|(segment, store)| {
            export(segment, store, &mut || (), &mut |body, _, _, _| {
                assert!(segment.packed().unwrap().is_body(body.packed()));
            })
            .is_ok()
        })
    }
}

#[test]
fn everything_is_there() {
    let packing = Packing::Bits(BitMetric::Hamming);
    let rows = (0..5000u32)
        .map(|i| Value::Bits((0..64).map(|bit| i.wrapping_mul(0x9e37) >> (bit % 32) & 1 == 1).collect()));
    let index = Index::new(packing, 64, rows.collect());
    let mut everything = Everything::new(index.readers());
    let mut found = index.delta.len();
    while everything.next(&mut || ()).unwrap().is_some() {
        found += 1;
    }
    assert_eq!(found, 5000);
}

/// Equal sizes, distances and values: the passes follow each other without a gap.
#[test]
fn many_equal_values() {
    for packing in [Packing::Bits(BitMetric::Jaccard), Packing::Sparse(Metric::L1)] {
        let value = |at: usize| match packing {
            Packing::Bits(_) => Value::Bits((0..100).map(|i| i % 4 == at % 4).collect()),
            Packing::Sparse(_) => Value::Sparse(vec![(at as u32 % 4, 1.5), (7, 2.0)]),
        };
        let index = Index::new(packing, 100, (0..3000).map(value).collect());
        index.check_search(&value(1), &Filter::new(), None);
        index.check_search(&value(2), &Filter::new(), Some(700));
    }
}

/// A leaf that reaches far out for the sake of one vector does not hide what lies on the other side of the query.
#[test]
fn one_enormous_vector() {
    let value =
        |element: f32| Value::Sparse((0..40).map(|index| (index, element + index as f32 / 100.0)).collect());
    for metric in [Metric::L1, Metric::L2] {
        // Clusters of 53, between which some leaves begin: a query there is in none of them.
        let rows = (0..1500).map(|at| match at {
            0 => value(1e12),
            _ => value((at / 53 * 10) as f32 + (at % 53) as f32 / 1000.0),
        });
        let index = Index::new(Packing::Sparse(metric), 40, rows.collect());
        for cluster in 0..28 {
            let query = value((cluster * 10) as f32 + 3.0);
            index.check_within(&query, &Filter::new(), 20);
            index.check_search(&query, &Filter::new(), None);
        }
    }
}

/// A search for what has few bits, or is short, looks at few leaves.
#[test]
fn sizes_rule_leaves_out() {
    let packing = Packing::Bits(BitMetric::Hamming);
    let value = |ones: usize| Value::Bits((0..2048).map(|i| i < ones).collect());
    let index = Index::new(packing, 2048, (0..2000).map(value).collect());
    let mut search = PackedSearch::new(
        PackedQuery::new(packing, 2048, &value(500).pack(packing).1),
        Filter::new(),
        index.readers(),
        Vec::new(),
    );
    for distance in 0..10 {
        let hit = search.next(&mut || ()).unwrap().unwrap();
        assert_eq!(hit.bound, f64::from((distance + 1) / 2));
    }
    let stats = search.stats();
    assert!(stats.leaves > 40 && stats.leaves_visited <= 4, "{stats:?}");
}

/// Directories that say of packed values what only trees have are refused.
#[test]
fn impossible_directories() {
    let index = Index::new(Packing::Bits(BitMetric::Hamming), 64, vec![Value::Bits(vec![true; 64]); 10]);
    let honest = index.segments[0].0.directory().clone();
    let changes: [fn(&mut Directory); 6] = [
        |directory| directory.leaves.vectors[0] = 5000,
        |directory| directory.leaves.low[0] = 65.0,
        |directory| directory.max_norm = 1.0,
        |directory| directory.leaves.beyond[0] = 1.0,
        |directory| directory.dims = 64_001,
        |directory| directory.space = Space::Dense(bkd::Metric::L2),
    ];
    assert!(Directory::decode(&honest.encode().unwrap()).is_ok());
    for (number, change) in changes.into_iter().enumerate() {
        let mut directory = honest.clone();
        change(&mut directory);
        assert!(Directory::decode(&directory.encode().unwrap()).is_err(), "change {number}");
    }
}
