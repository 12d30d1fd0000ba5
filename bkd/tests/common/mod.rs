//! What the tests share: indexes in memory, hostile vectors, and the executor that orders rows by their true distances.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::collections::BinaryHeap;
use std::sync::{Arc, LazyLock};

use bkd::layout::{tids, PageKind, Payload};
use bkd::{
    build, export, prepare, BuildOptions, Directory, Everything, Extent, Filter, HelpingThreads, Input,
    MemStore, Metric, PageRead, PageSink, Placement, Progress, Query, Search, Segment, Tid, Within,
};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

pub const METRICS: [Metric; 4] = [Metric::L2, Metric::Cosine, Metric::InnerProduct, Metric::L1];

/// A segment in memory.
pub struct Built {
    pub segment: Arc<Segment>,
    pub store: MemStore,
}

impl Built {
    /// Builds a segment of prepared vectors, with sketches if these suit them.
    pub fn new(input: &Input<'_>, leaf_size: usize) -> Self {
        Self::with(input, &BuildOptions { leaf_size: Some(leaf_size), ..BuildOptions::default() })
    }

    /// The same with other options. What the segment is read back from are the encoded bytes of its directory.
    pub fn with(input: &Input<'_>, options: &BuildOptions<'_>) -> Self {
        let mut store = MemStore::new();
        let mut directory = build(input, options, &Progress::default(), &mut store).unwrap();
        // Two extents: a segment need not lie in one piece.
        let blocks = store.len() as u32;
        directory.extents = vec![Extent { start: 1000, blocks: 1 }, Extent { start: 10, blocks: blocks - 1 }];
        directory.extents.retain(|extent| extent.blocks > 0);
        let decoded = Directory::decode(&directory.encode().unwrap()).unwrap();
        assert_eq!(decoded, directory);
        Built { segment: Arc::new(Segment::open(7, decoded).unwrap()), store }
    }

    /// A segment of the live vectors of others, as merging makes it; `None` if there are none.
    pub fn merged(metric: Metric, segments: &[Built], options: &BuildOptions<'_>) -> Option<Self> {
        let (mut vectors, mut slack, mut tids) = (Vec::new(), Vec::new(), Vec::new());
        for built in segments {
            export(&built.segment, &&built.store, &mut || (), &mut |vector, by, _, tid| {
                vectors.extend_from_slice(vector.dense());
                slack.push(by);
                tids.push(tid);
            })
            .unwrap();
        }
        assert!(slack.iter().all(|slack: &f32| slack.is_finite()));
        let dims = segments.first()?.segment.dims();
        let (vectors, slack) = (&vectors, Some(&slack[..]));
        let input = Input { metric, dims, vectors, slack, tids: &tids, columns: 0, keys: &[] };
        (!tids.is_empty()).then(|| Built::with(&input, options))
    }

    /// Marks rows as removed, as VACUUM does.
    pub fn remove(&mut self, dead: impl Fn(Tid) -> bool) {
        for page in self.segment.tid_pages() {
            for slot in 0..self.segment.tids_on(page) {
                let payload = self.store.page_mut(page);
                if dead(tids::get(payload, slot)) {
                    tids::set(payload, slot, Tid::DEAD);
                }
            }
        }
    }
}

impl Built {
    /// The kind and payload of every page.
    fn each_page(&self) -> impl Iterator<Item = (PageKind, &Payload)> {
        let segment = &self.segment;
        let of = |kind, pages: std::ops::Range<u32>| {
            pages.map(move |page| (kind, self.store.page(kind, page).unwrap()))
        };
        of(PageKind::Leaf, segment.leaf_pages())
            .chain(of(PageKind::Fine, segment.fine_pages()))
            .chain(of(PageKind::Whole, segment.whole_pages()))
            .chain(of(PageKind::Tids, segment.tid_pages()))
            .chain(of(PageKind::Attributes, segment.attribute_pages()))
    }

    /// Row addresses, by the position of their vectors.
    pub fn tids(&self) -> Vec<Tid> {
        let of_page = |page| {
            let payload = self.store.page(PageKind::Tids, page).unwrap();
            (0..self.segment.tids_on(page)).map(move |slot| tids::get(payload, slot))
        };
        self.segment.tid_pages().flat_map(of_page).collect()
    }

    /// All pages, one after the other.
    pub fn pages(&self) -> Vec<u8> {
        self.each_page().flat_map(|(_, payload)| *payload).collect()
    }

    /// Copies the first pages into another store.
    pub fn copy_pages(&self, into: &mut MemStore, count: usize) {
        for (kind, payload) in self.each_page().take(count) {
            into.append(kind, payload, payload.len()).unwrap();
        }
    }
}

static THREADS: LazyLock<Arc<HelpingThreads>> = LazyLock::new(|| {
    let pool = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    Arc::new(HelpingThreads::new(pool, 0))
});

/// Has a search helped by other threads, be it worth it or not.
pub fn helped<S: PageRead>(mut search: Search<S>) -> Search<S> {
    search.set_helpers(THREADS.clone());
    search
}

/// Uniform in -1 to 1.
pub fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// An index: segments and a delta over rows, some of which are dead.
pub struct Index {
    pub metric: Metric,
    pub rows: Vec<Vec<f32>>,
    pub dead: Vec<bool>,
    pub segments: Vec<Built>,
    pub delta: Vec<(Vec<f32>, Tid)>,
}

/// How an index is put together.
#[derive(Clone, Debug)]
pub struct Plan {
    pub leaf_size: usize,
    /// The shares of the rows that segments get, by weight; the last is the delta's.
    pub shares: Vec<usize>,
    /// Whether all segments are split on the axes of the first.
    pub same_axes: bool,
    /// Directions of sketches, none if 0; `None`: what suits the vectors.
    pub sketch: Option<u32>,
    /// Every so many-th row is removed, from the second on; none if 0.
    pub removed: usize,
}

impl Plan {
    /// All rows in one segment.
    pub fn one(leaf_size: usize) -> Self {
        Plan { leaf_size, shares: vec![1, 0], same_axes: false, sketch: None, removed: 0 }
    }

    /// How its segments are built.
    pub fn options(&self) -> BuildOptions<'static> {
        BuildOptions { leaf_size: Some(self.leaf_size), sketch: self.sketch, ..BuildOptions::default() }
    }
}

/// Directions of sketches: none, or as many as there are axes at the most.
pub fn sketches() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0u32), 1u32..40]
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let shares = prop::collection::vec(0usize..4, 2..5);
    (1usize..40, shares, any::<bool>(), sketches(), prop_oneof![Just(0usize), 1usize..6]).prop_map(
        |(leaf_size, shares, same_axes, sketch, removed)| Plan {
            leaf_size,
            shares,
            same_axes,
            sketch: Some(sketch),
            removed,
        },
    )
}

impl Index {
    /// Indexes those of the rows that have a place in the trees; `None` if there are none.
    pub fn new(metric: Metric, rows: &[Vec<f32>], plan: &Plan) -> Option<Self> {
        let (prepared, rows) = prepare_all(metric, rows);
        let dims = rows.first()?.len();
        let dead: Vec<bool> = (0..rows.len()).map(|at| plan.removed > 0 && at % plan.removed == 1).collect();
        let whole = plan.shares.iter().sum::<usize>().max(1);
        let (mut from, mut share, mut segments) = (0, 0, Vec::<Built>::new());
        let (_, shares) = plan.shares.split_last().unwrap();
        for weight in shares {
            share += weight;
            let to = rows.len() * share / whole;
            if from < to {
                let tids: Vec<Tid> = (from..to).map(tid).collect();
                let vectors = &prepared[from * dims..to * dims];
                let input = Input { metric, dims, vectors, slack: None, tids: &tids, columns: 0, keys: &[] };
                let axes = segments.first().filter(|_| plan.same_axes);
                let axes = axes.map(|first| first.segment.directory().axes.clone());
                let mut built = Built::with(&input, &BuildOptions { axes: axes.as_ref(), ..plan.options() });
                built.remove(|tid| dead[index(tid)]);
                segments.push(built);
            }
            from = to;
        }
        let delta = prepared[from * dims..].chunks_exact(dims).zip(from..);
        let delta = delta.map(|(vector, at)| (vector.to_vec(), if dead[at] { Tid::DEAD } else { tid(at) }));
        Some(Index { metric, delta: delta.collect(), rows, dead, segments })
    }

    pub fn dims(&self) -> usize {
        self.rows[0].len()
    }

    pub fn stores(&self) -> Vec<(Arc<Segment>, &MemStore)> {
        self.segments.iter().map(|built| (built.segment.clone(), &built.store)).collect()
    }

    pub fn search(&self, query: &Query) -> Search<&MemStore> {
        self.search_in(query, self.stores())
    }

    /// The same with other stores of the same pages.
    pub fn search_in<S: PageRead>(&self, query: &Query, stores: Vec<(Arc<Segment>, S)>) -> Search<S> {
        let delta = self.delta.iter().map(|(vector, tid)| (query.exact().key(vector), *tid)).collect();
        Search::new(query.clone(), stores, delta)
    }

    /// Row addresses of all that may be at this value or less; of the delta by key, as an access method does it.
    pub fn within(&self, query: &Query, value: f64) -> Vec<Tid> {
        let delta = self.delta.len() as u64;
        let mut rows = Within::new(query.clone(), Filter::new(), self.stores(), delta, value);
        let mut found: Vec<Tid> = std::iter::from_fn(|| rows.next(&mut || ()).unwrap()).collect();
        let end = query.end_of(value);
        let in_delta =
            self.delta.iter().filter(|(vector, tid)| !tid.is_dead() && query.exact().key(vector) < end);
        found.extend(in_delta.map(|(_, tid)| *tid));
        found
    }

    pub fn everything(&self) -> Everything<&MemStore> {
        Everything::new(self.stores())
    }

    /// Positions of the rows that are not dead.
    pub fn live(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows.len()).filter(|&at| !self.dead[at])
    }

    /// Compares a search with a sort of all values: the same values in the same order, every row once.
    pub fn assert_exact(&self, query: &[f32], sum: Sum, limit: usize, expect: Option<usize>) {
        self.assert_exact_in(self.stores(), query, sum, limit, expect);
    }

    /// The same with other stores of the same pages.
    pub fn assert_exact_in<S: PageRead>(
        &self,
        stores: Vec<(Arc<Segment>, S)>,
        query: &[f32],
        sum: Sum,
        limit: usize,
        expect: Option<usize>,
    ) {
        let Ok(prepared) = Query::new(self.metric, query) else { return };
        let mut search = self.search_in(&prepared, stores);
        if let Some(rows) = expect {
            search.expect(rows);
        }
        self.assert_yields(search, query, sum, limit);
    }

    /// The same of a search that was begun with the query.
    pub fn assert_yields<S: PageRead>(&self, mut search: Search<S>, query: &[f32], sum: Sum, limit: usize) {
        let values: Vec<f64> = self.rows.iter().map(|row| operator(self.metric, sum, query, row)).collect();
        let found = ordered(&mut search, |tid| values[index(tid)], limit);
        let mut expected: Vec<f64> = self.live().map(|at| values[at]).collect();
        expected.sort_by(f64::total_cmp);
        expected.truncate(limit);
        assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), expected);
        let mut tids: Vec<Tid> = found.iter().map(|row| row.1).collect();
        tids.sort();
        tids.dedup();
        assert_eq!(tids.len(), found.len(), "a row came twice");
        let stats = search.stats();
        assert!(stats.rows >= found.len() as u64 && stats.fine <= stats.coarse);
        assert_eq!((stats.segments, stats.delta), (self.segments.len() as u64, self.delta.len() as u64));
    }
}

pub fn tid(at: usize) -> Tid {
    Tid::new((at / 100) as u32, (at % 100 + 1) as u16)
}

pub fn index(tid: Tid) -> usize {
    tid.block as usize * 100 + tid.offset as usize - 1
}

/// Prepares vectors, keeping those that have a place in the trees.
pub fn prepare_all(metric: Metric, vectors: &[Vec<f32>]) -> (Vec<f32>, Vec<Vec<f32>>) {
    let (mut prepared, mut kept) = (Vec::new(), Vec::new());
    let mut one = Vec::new();
    for vector in vectors {
        if prepare(metric, vector, &mut one) == Placement::Ranked {
            prepared.extend_from_slice(&one);
            kept.push(vector.clone());
        }
    }
    (prepared, kept)
}

/// The order in which an operator adds up its products. Which one pgvector uses depends on how it was compiled.
#[derive(Clone, Copy, Debug)]
pub enum Sum {
    /// From left to right: the worst order for rounding.
    Sequential,
    /// In eight lanes.
    Lanes8,
    /// In sixteen lanes, with fused multiply-add.
    Fused16,
    /// In halves, the halves in halves.
    Pairwise,
}

pub const SUMS: [Sum; 4] = [Sum::Sequential, Sum::Lanes8, Sum::Fused16, Sum::Pairwise];

impl Sum {
    /// The sum of the products of pairs of factors, in single precision.
    fn of(self, pairs: &[(f32, f32)]) -> f32 {
        match self {
            Sum::Sequential => pairs.iter().fold(0f32, |sum, (a, b)| sum + a * b),
            Sum::Lanes8 => {
                let mut lanes = [0f32; 8];
                for (at, (a, b)) in pairs.iter().enumerate() {
                    lanes[at % 8] += a * b;
                }
                lanes.iter().sum()
            }
            Sum::Fused16 => {
                let mut lanes = [0f32; 16];
                for (at, (a, b)) in pairs.iter().enumerate() {
                    lanes[at % 16] = a.mul_add(*b, lanes[at % 16]);
                }
                lanes.iter().sum()
            }
            Sum::Pairwise => match pairs {
                [] => 0.0,
                [(a, b)] => a * b,
                _ => {
                    let (left, right) = pairs.split_at(pairs.len() / 2);
                    self.of(left) + self.of(right)
                }
            },
        }
    }
}

/// What the SQL operators compute: sums in single precision, the rest in double precision.
pub fn operator(metric: Metric, sum: Sum, a: &[f32], b: &[f32]) -> f64 {
    let of = |factors: fn(f32, f32) -> (f32, f32)| {
        let pairs: Vec<(f32, f32)> = a.iter().zip(b).map(|(&a, &b)| factors(a, b)).collect();
        f64::from(sum.of(&pairs))
    };
    match metric {
        Metric::L2 => of(|a, b| (a - b, a - b)).sqrt(),
        Metric::InnerProduct => -of(|a, b| (a, b)),
        Metric::L1 => of(|a, b| ((a - b).abs(), 1.0)),
        Metric::Cosine => {
            let (dot, aa, bb) = (of(|a, b| (a, b)), of(|a, _| (a, a)), of(|_, b| (b, b)));
            1.0 - (dot / (aa * bb).sqrt()).clamp(-1.0, 1.0)
        }
    }
}

/// The executor: takes rows from a search, computes their values, returns them in the order of these. Panics where
/// Postgres would raise an error: if a value is below the bound that came with it, or if bounds descend.
pub fn ordered<S: PageRead>(
    search: &mut Search<S>,
    value: impl Fn(Tid) -> f64,
    limit: usize,
) -> Vec<(f64, Tid)> {
    #[derive(PartialEq)]
    struct Row(f64, Tid);
    impl Eq for Row {}
    impl PartialOrd for Row {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Row {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            other.0.total_cmp(&self.0).then(other.1.cmp(&self.1))
        }
    }
    let mut queue: BinaryHeap<Row> = BinaryHeap::new();
    let mut rows = Vec::new();
    let mut last = f64::NEG_INFINITY;
    while rows.len() < limit {
        let hit = search.next(&mut || ()).unwrap();
        let Some(hit) = hit else {
            match queue.pop() {
                Some(Row(value, tid)) => rows.push((value, tid)),
                None => break,
            }
            continue;
        };
        assert!(hit.bound >= last, "bounds descend from {last} to {}", hit.bound);
        last = hit.bound;
        let value = value(hit.tid);
        assert!(value >= hit.bound, "value {value} is below its bound {} ({:?})", hit.bound, hit.tid);
        queue.push(Row(value, hit.tid));
        while rows.len() < limit && queue.peek().is_some_and(|row| row.0 <= last) {
            let Row(value, tid) = queue.pop().unwrap();
            rows.push((value, tid));
        }
    }
    rows
}

/// Components that hurt: ordinary ones, equal ones, tiny and huge ones.
fn component() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -1f32..1.0,
        2 => Just(0.0),
        1 => Just(0.5),
        1 => (-3i32..4).prop_map(|x| x as f32),
        1 => (-1f32..1.0, -38..14i32).prop_map(|(x, e)| x * 10f32.powi(e)),
        1 => (1u32..0x80_0000).prop_map(f32::from_bits),
    ]
}

/// Sets of vectors of one dimension: spread, clustered, with repeated vectors, with heavy tails.
pub fn vectors() -> impl Strategy<Value = Vec<Vec<f32>>> {
    let dims = prop_oneof![1usize..9, 9usize..24, 24usize..72, Just(130usize), Just(1040usize)];
    (dims, 1usize..220, 0u8..4).prop_flat_map(|(dims, count, shape)| {
        let vector = prop::collection::vec(component(), dims);
        let uniform = prop::collection::vec(-1f32..1.0, dims);
        match shape {
            0 => prop::collection::vec(vector, count).boxed(),
            // On one scale, from where squares vanish to where they nearly overflow.
            1 => (prop::collection::vec(uniform, count), prop_oneof![2 => Just(0), 1 => -40i32..14])
                .prop_map(|(vectors, e)| scaled(vectors, |_| e))
                .boxed(),
            // Few distinct vectors, far from the origin.
            2 => prop::collection::vec(uniform, 1..4)
                .prop_flat_map(move |centers| {
                    let copy = (0..centers.len(), prop::option::of(0..dims), -0.01f32..0.01);
                    prop::collection::vec(copy, count).prop_map(move |copies| {
                        let moved = |(center, dim, by): (usize, Option<usize>, f32)| {
                            let mut vector: Vec<f32> = centers[center].iter().map(|x| x + 1000.0).collect();
                            if let Some(dim) = dim {
                                vector[dim] += by;
                            }
                            vector
                        };
                        copies.into_iter().map(moved).collect::<Vec<_>>()
                    })
                })
                .boxed(),
            // A heavy tail: norms over many orders of magnitude.
            _ => (prop::collection::vec(uniform, count), prop::collection::vec(-40i32..14, count))
                .prop_map(|(vectors, exponents)| scaled(vectors, |at| exponents[at]))
                .boxed(),
        }
    })
}

fn scaled(mut vectors: Vec<Vec<f32>>, exponent: impl Fn(usize) -> i32) -> Vec<Vec<f32>> {
    for (at, vector) in vectors.iter_mut().enumerate() {
        let scale = 10f64.powi(exponent(at));
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
    }
    vectors
}

/// Queries for an index: rows of it, one between two rows, one far away, one on another scale.
pub fn queries(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let (first, middle) = (&rows[0], &rows[rows.len() / 2]);
    let map = |f: fn(f32, f32) -> f32| first.iter().zip(middle).map(|(&a, &b)| f(a, b)).collect::<Vec<_>>();
    vec![
        first.clone(),
        middle.clone(),
        map(|a, b| a * 0.5 + b * 0.5),
        map(|a, _| a * -3.0 + 0.1),
        map(|a, _| a * 1e-15),
        map(|a, _| a * 1e6),
    ]
}
