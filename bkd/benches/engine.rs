//! The engine in memory: the coarse scan, which is where a search spends its time, builds, and whole searches, under every
//! instruction set that the machine has. `cargo bench --package bkd`.

use std::hint::black_box;
use std::sync::Arc;

use bkd::{
    build, instruction_sets, use_instruction_set, BuildOptions, Extent, Input, MemStore, Metric, Progress,
    Query, Search, Segment, Tid,
};
use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};

/// Vectors and dimensions: many short ones, fewer long ones.
const SIZES: [(usize, usize); 2] = [(100_000, 64), (20_000, 768)];

/// Uniform numbers in [0, 1), the same in every run.
struct Random(u64);

impl Random {
    fn vector(&mut self, numbers: usize) -> Vec<f32> {
        let mut number = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1 << 24) as f32
        };
        (0..numbers).map(|_| number()).collect()
    }
}

fn built(vectors: &[f32], dims: usize) -> (Segment, MemStore) {
    let tids: Vec<Tid> = (0..vectors.len() / dims).map(|at| Tid::new(at as u32, 1)).collect();
    let input = Input { metric: Metric::L2, dims, vectors, slack: None, tids: &tids, columns: 0, keys: &[] };
    let mut store = MemStore::new();
    let mut directory =
        build(&input, &BuildOptions::default(), &Progress::default(), &mut store).expect("a build");
    directory.extents = vec![Extent { start: 0, blocks: store.len() as u32 }];
    (Segment::open(1, directory).expect("a segment"), store)
}

fn builds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10);
    for (count, dims) in SIZES {
        let vectors = Random(1).vector(count * dims);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{count} x {dims}")), |bencher| {
            bencher.iter(|| built(&vectors, dims));
        });
    }
    group.finish();
}

/// The ten nearest rows of uniform vectors, of which the tree can rule out few: nearly all codes are scanned.
fn searches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    for (count, dims) in SIZES {
        let mut random = Random(1);
        let (segment, store) = built(&random.vector(count * dims), dims);
        let segment = Arc::new(segment);
        let queries: Vec<Vec<f32>> = (0..64).map(|_| random.vector(dims)).collect();
        group.throughput(Throughput::Elements(count as u64));
        for set in instruction_sets() {
            assert!(use_instruction_set(set));
            group.bench_function(BenchmarkId::new(set, format!("{count} x {dims}")), |bencher| {
                let mut queries = queries.iter().cycle();
                bencher.iter(|| {
                    let query = Query::new(Metric::L2, queries.next().expect("endless")).expect("a query");
                    let mut search = Search::new(query, vec![(segment.clone(), &store)], Vec::new());
                    for _ in 0..10 {
                        black_box(search.next(&mut || ()).expect("a row"));
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, builds, searches);
criterion_main!(benches);
