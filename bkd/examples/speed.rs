//! How fast the engine is in memory: `cargo run --release --example speed -- [l2|l1] [vectors] [dims] [leaf size, or 0] [helping threads]`.

use std::sync::Arc;
use std::time::Instant;

use rayon::ThreadPoolBuilder;

use bkd::{
    build, BuildOptions, Extent, HelpingThreads, Input, MemStore, Metric, Progress, Query, Search, Segment,
    Tid,
};

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let metric = match arguments.next_if(|argument| argument.parse::<usize>().is_err()) {
        Some(name) if name == "l1" => Metric::L1,
        _ => Metric::L2,
    };
    let mut arguments = arguments.map(|argument| argument.parse::<usize>().expect("a number"));
    let count = arguments.next().unwrap_or(1_000_000);
    let dims = arguments.next().unwrap_or(64);
    let leaf_size = arguments.next().filter(|size| *size > 0);
    let helpers = arguments.next().map(|threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        Arc::new(HelpingThreads::new(pool, 0))
    });

    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let vectors: Vec<f32> = (0..count * dims).map(|_| random()).collect();
    let tids: Vec<Tid> = (0..count).map(|at| Tid::new((at / 100) as u32, (at % 100 + 1) as u16)).collect();

    let started = Instant::now();
    let mut store = MemStore::new();
    let input = Input { metric, dims, vectors: &vectors, slack: None, tids: &tids, columns: 0, keys: &[] };
    let options = BuildOptions { leaf_size, ..Default::default() };
    let mut directory = build(&input, &options, &Progress::default(), &mut store).expect("a build");
    directory.extents = vec![Extent { start: 0, blocks: store.len() as u32 }];
    println!("build {:.2} s, {} pages", started.elapsed().as_secs_f64(), store.len());
    let segment = Arc::new(Segment::open(1, directory).expect("a segment"));

    for limit in [1, 4, 10, 100] {
        let mut times = Vec::new();
        let mut stats = Default::default();
        for _ in 0..220 {
            let query: Vec<f32> = (0..dims).map(|_| random()).collect();
            let started = Instant::now();
            let query = Query::new(metric, &query).expect("a query");
            let mut search = Search::new(query, vec![(segment.clone(), &store)], Vec::new());
            search.expect(limit);
            if let Some(threads) = &helpers {
                search.set_helpers(threads.clone());
            }
            for _ in 0..limit {
                search.next(&mut || ()).expect("a row");
            }
            times.push(started.elapsed().as_secs_f64() * 1e3);
            stats = search.stats();
        }
        let mut warm = times.split_off(20);
        warm.sort_by(f64::total_cmp);
        println!(
            "{limit} rows: fastest {:.3} ms, median {:.3} ms, p95 {:.3} ms, last {stats:?}",
            warm[0], warm[100], warm[190]
        );
    }
}
