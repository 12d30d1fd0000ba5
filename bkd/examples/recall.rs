//! What an approximate search finds and how long it takes, in memory, on one thread:
//! `cargo run --release --example recall -- FILE DIMS l2|cosine|ip|l1 [segments] [leaf size, or 0]
//! [directions of sketches, 0 for none]`. FILE holds single-precision numbers; its last 500 vectors are the queries, the others are indexed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use bkd::{
    build, prepare, BuildOptions, Extent, Input, MemStore, Metric, Placement, Progress, Query, ScanStats,
    Search, Segment, Tid,
};

const QUERIES: usize = 500;
const NEIGHBOURS: [usize; 3] = [1, 10, 100];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let dims: usize = arguments[2].parse().expect("dimensions");
    let metric = match arguments[3].as_str() {
        "cosine" => Metric::Cosine,
        "ip" => Metric::InnerProduct,
        "l1" => Metric::L1,
        _ => Metric::L2,
    };
    let parts: usize = arguments.get(4).map_or(1, |parts| parts.parse().expect("a number of segments"));
    let leaf_size = arguments.get(5).map(|size| size.parse().expect("a leaf size")).filter(|size| *size > 0);
    let sketch = arguments.get(6).map(|directions| directions.parse().expect("directions"));
    let bytes = std::fs::read(&arguments[1]).expect("a file of vectors");
    let numbers: Vec<f32> =
        bytes.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().expect("four bytes"))).collect();
    let (mut vectors, mut one) = (Vec::new(), Vec::new());
    for vector in numbers.chunks_exact(dims) {
        if prepare(metric, vector, &mut one) == Placement::Ranked {
            vectors.extend_from_slice(&one);
        }
    }
    let queries = vectors.split_off(vectors.len() - QUERIES * dims);
    let count = vectors.len() / dims;
    let tids: Vec<Tid> = (0..count).map(|at| Tid::new(at as u32, 1)).collect();

    let started = Instant::now();
    let mut stores = Vec::new();
    for part in 0..parts {
        let range = count * part / parts..count * (part + 1) / parts;
        let vectors = &vectors[range.start * dims..range.end * dims];
        let input = Input { metric, dims, vectors, slack: None, tids: &tids[range], columns: 0, keys: &[] };
        let mut store = MemStore::new();
        let options = BuildOptions { leaf_size, sketch, ..Default::default() };
        let mut directory = build(&input, &options, &Progress::default(), &mut store).expect("a build");
        directory.extents = vec![Extent { start: 0, blocks: store.len() as u32 }];
        stores.push((Arc::new(Segment::open(1, directory).expect("a segment")), store));
    }
    println!("{count} x {dims}, {}: built in {:.2} s", metric.name(), started.elapsed().as_secs_f64());

    let value = |query: &[f32], tid: Tid| {
        let vector = &vectors[tid.block as usize * dims..][..dims];
        let pairs = query.iter().zip(vector).map(|(&q, &x)| (f64::from(q), f64::from(x)));
        match metric {
            Metric::L2 => pairs.map(|(q, x)| (q - x).powi(2)).sum::<f64>().sqrt(),
            Metric::Cosine => pairs.map(|(q, x)| (q - x).powi(2)).sum::<f64>() / 2.0,
            Metric::InnerProduct => -pairs.map(|(q, x)| q * x).sum::<f64>(),
            Metric::L1 => pairs.map(|(q, x)| (q - x).abs()).sum::<f64>(),
        }
    };
    for neighbours in NEIGHBOURS {
        let mut exact = Vec::new();
        for recall in [1.0, 0.999, 0.99, 0.95, 0.9, 0.8, 0.5] {
            let (mut times, mut recalls, mut total) = (Vec::new(), Vec::new(), ScanStats::default());
            for (at, query) in queries.chunks_exact(dims).enumerate() {
                let started = Instant::now();
                let segments = stores.iter().map(|(segment, store)| (segment.clone(), store)).collect();
                let prepared = Query::new(metric, query).expect("a query");
                let mut search = Search::new(prepared, segments, Vec::new());
                search.expect(neighbours + neighbours / 5);
                search.set_recall(recall);
                let found = nearest(&mut search, neighbours, |tid| value(query, tid));
                times.push(started.elapsed().as_secs_f64() * 1e3);
                if recall == 1.0 {
                    exact.push(found.clone());
                }
                let hits = found.intersection(&exact[at]).count();
                recalls.push(hits as f64 / neighbours as f64);
                let stats = search.stats();
                total.coarse += stats.coarse;
                total.fine += stats.fine;
                total.whole += stats.whole;
                total.passes += stats.passes;
                total.rows += stats.rows;
            }
            times.sort_by(f64::total_cmp);
            recalls.sort_by(f64::total_cmp);
            println!(
                "k {neighbours:3}, recall {recall:5}: found {:.4}, worst {:.2}, 1 % below {:.2}; {:.4} of the vectors, {:5} by fine codes, {:5} by whole codes, \
                 {:.1} rows, {:.2} passes; mean {:.3} ms, median {:.3}, p95 {:.3}",
                recalls.iter().sum::<f64>() / recalls.len() as f64,
                recalls[0],
                recalls[QUERIES / 100],
                total.coarse as f64 / QUERIES as f64 / count as f64,
                total.fine / QUERIES as u64,
                total.whole / QUERIES as u64,
                total.rows as f64 / QUERIES as f64,
                total.passes as f64 / QUERIES as f64,
                times.iter().sum::<f64>() / QUERIES as f64,
                times[QUERIES / 2],
                times[QUERIES * 95 / 100],
            );
        }
    }
}

/// What the executor does: it takes rows until none that follows can be nearer.
fn nearest(search: &mut Search<&MemStore>, limit: usize, value: impl Fn(Tid) -> f64) -> HashSet<Tid> {
    let mut best: Vec<(f64, Tid)> = Vec::new();
    while let Some(hit) = search.next(&mut || ()).expect("sound pages") {
        if best.len() == limit && best[limit - 1].0 <= hit.bound {
            break;
        }
        let row = (value(hit.tid), hit.tid);
        best.insert(best.partition_point(|other| *other < row), row);
        best.truncate(limit);
    }
    best.into_iter().map(|(_, tid)| tid).collect()
}
