//! What the tests share: building a segment in memory, and the executor that orders rows by their true distances.

use std::collections::BinaryHeap;
use std::sync::Arc;

use bkd::{
    build, prepare, BuildOptions, Everything, Extent, Input, MemStore, Metric, Placement, Progress, Query,
    Search, Segment, Tid,
};

pub const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

/// A segment in memory.
pub struct Built {
    pub segment: Arc<Segment>,
    pub store: MemStore,
}

impl Built {
    /// Builds a segment of prepared vectors; the row address of vector i is `tid(i)`.
    pub fn new(
        metric: Metric,
        dims: usize,
        vectors: &[f32],
        slack: Option<&[f32]>,
        leaf_size: usize,
    ) -> Self {
        let tids: Vec<Tid> = (0..vectors.len() / dims).map(tid).collect();
        let input = Input { metric, dims, vectors, slack, tids: &tids };
        let options = BuildOptions { leaf_size: Some(leaf_size), ..Default::default() };
        let mut store = MemStore::new();
        let mut directory = build(&input, &options, &Progress::default(), &mut store).unwrap();
        directory.extents = vec![Extent { start: 0, blocks: store.len() as u32 }];
        let encoded = directory.encode().unwrap();
        let directory = bkd::Directory::decode(&encoded).unwrap();
        Built { segment: Arc::new(Segment::open(7, directory).unwrap()), store }
    }

    pub fn search(&self, query: &Query) -> Search<&MemStore> {
        Search::new(query.clone(), vec![(self.segment.clone(), &self.store)], Vec::new())
    }

    pub fn everything(&self) -> Everything<&MemStore> {
        Everything::new(vec![(self.segment.clone(), &self.store)])
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

/// What the SQL operators compute: single precision, summed from left to right. The worst order for rounding.
pub fn operator(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: fn(f32, f32) -> f32| a.iter().zip(b).fold(0f32, |sum, (&a, &b)| sum + f(a, b));
    match metric {
        Metric::L2 => f64::from(sum(|a, b| (a - b) * (a - b))).sqrt(),
        Metric::InnerProduct => -f64::from(sum(|a, b| a * b)),
        Metric::Cosine => {
            let (dot, aa, bb) = (sum(|a, b| a * b), sum(|a, _| a * a), sum(|_, b| b * b));
            1.0 - (f64::from(dot) / (f64::from(aa) * f64::from(bb)).sqrt()).clamp(-1.0, 1.0)
        }
    }
}

/// The executor: takes rows from a search, computes their values, returns them in the order of these. Panics where
/// Postgres would raise an error: if a value is below the bound that came with it, or if bounds descend.
pub fn ordered(search: &mut Search<&MemStore>, value: impl Fn(Tid) -> f64, limit: usize) -> Vec<(f64, Tid)> {
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

/// Compares a search with a sort of all values: the same values in the same order, every row once.
pub fn assert_exact(built: &Built, metric: Metric, vectors: &[Vec<f32>], query: &[f32], limit: usize) {
    let Ok(prepared) = Query::new(metric, query) else { return };
    let value = |tid: Tid| operator(metric, query, &vectors[index(tid)]);
    let mut search = built.search(&prepared);
    let found = ordered(&mut search, value, limit);
    let mut expected: Vec<f64> = vectors.iter().map(|vector| operator(metric, query, vector)).collect();
    expected.sort_by(f64::total_cmp);
    expected.truncate(limit);
    assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), expected);
    let mut tids: Vec<Tid> = found.iter().map(|row| row.1).collect();
    tids.sort();
    tids.dedup();
    assert_eq!(tids.len(), found.len(), "a row came twice");
}
