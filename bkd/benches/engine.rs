//! The engine in memory: the coarse scan, which is where a search spends its time, builds, and whole searches, under every
//! instruction set that the machine has. `cargo bench --package bkd`.

mod common;

use std::hint::black_box;
use std::sync::Arc;

use bkd::{instruction_sets, use_instruction_set, Metric, Query, Search};
use common::{built, Random};
use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};

/// Vectors and dimensions: many short ones, fewer long ones.
const SIZES: [(usize, usize); 2] = [(100_000, 64), (20_000, 768)];

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
