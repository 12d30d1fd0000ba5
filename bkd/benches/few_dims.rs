//! Searches in few dimensions beside the kiddo crate, a KD-tree in memory that answers nothing else: a million uniform points, the same
//! queries, the same number of neighbours. `cargo bench --package bkd --bench few_dims`.
//!
//! kiddo computes the distances of the rows that it returns; the engine returns bounds and leaves the distances to the executor, which has
//! the rows. But its answers come one by one, from pages that anything may have happened to, and there may be more of them.

mod common;

use std::hint::black_box;
use std::num::NonZero;
use std::sync::Arc;

use bkd::{Metric, Query, Search};
use common::{built, Random};
use criterion::{criterion_group, criterion_main, BenchmarkGroup, BenchmarkId, Criterion};
use kiddo::{ImmutableKdTree, SquaredEuclidean};

const POINTS: usize = 1_000_000;
const QUERIES: usize = 1024;
const NEIGHBOURS: [usize; 2] = [1, 10];

fn searches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("few dimensions");
    dims::<2>(&mut group);
    dims::<3>(&mut group);
    dims::<4>(&mut group);
    dims::<8>(&mut group);
    group.finish();
}

fn dims<const DIMS: usize>(group: &mut BenchmarkGroup<'_, criterion::measurement::WallTime>) {
    let mut random = Random(1);
    let numbers = random.vector(POINTS * DIMS);
    let (points, _) = numbers.as_chunks::<DIMS>();
    let queries: Vec<[f32; DIMS]> = random.vector(QUERIES * DIMS).as_chunks().0.to_vec();
    let (segment, store) = built(&numbers, DIMS);
    let segment = Arc::new(segment);
    let tree: ImmutableKdTree<f32, DIMS> = ImmutableKdTree::new_from_slice(points).expect("a tree");

    for neighbours in NEIGHBOURS {
        let parameter = format!("{DIMS} dims, {neighbours} neighbours");
        group.bench_function(BenchmarkId::new("engine", &parameter), |bencher| {
            let mut queries = queries.iter().cycle();
            bencher.iter(|| {
                let query = Query::new(Metric::L2, queries.next().expect("endless")).expect("a query");
                let mut search = Search::new(query, vec![(segment.clone(), &store)], Vec::new());
                search.expect(neighbours);
                for _ in 0..neighbours {
                    black_box(search.next(&mut || ()).expect("a row"));
                }
            });
        });
        let wanted = NonZero::new(neighbours).expect("not zero");
        group.bench_function(BenchmarkId::new("kiddo", &parameter), |bencher| {
            let mut queries = queries.iter().cycle();
            bencher.iter(|| {
                let query = queries.next().expect("endless");
                black_box(tree.query(query).nearest_n::<SquaredEuclidean<f32>>(wanted).execute());
            });
        });
    }
}

criterion_group!(benches, searches);
criterion_main!(benches);
