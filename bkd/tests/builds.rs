//! Builds: the same pages whatever the number of threads, and a stop when one is asked for.

mod common;

use std::sync::atomic::Ordering;

use bkd::layout::{PageKind, Payload};
use bkd::{build, BuildOptions, Directory, Error, Input, Metric, PageSink, Progress, Result, Tid};
use common::{tid, METRICS};

/// Keeps the pages, and cancels the build after some of them.
#[derive(Default)]
struct Sink<'a> {
    pages: Vec<(PageKind, Vec<u8>)>,
    cancel: Option<(usize, &'a Progress)>,
    refuse: bool,
}

impl PageSink for Sink<'_> {
    fn append(&mut self, kind: PageKind, payload: &Payload, used: usize) -> Result<()> {
        if self.refuse {
            return Err(Error::TooLarge("the disk is full".into()));
        }
        assert!(payload[used..].iter().all(|&byte| byte == 0), "what is not used is zero");
        self.pages.push((kind, payload.to_vec()));
        if let Some((after, progress)) = self.cancel {
            if self.pages.len() == after {
                progress.cancel.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// Vectors in clusters, so that axes, splits and grids have something to choose.
fn example(count: usize, dims: usize) -> (Vec<f32>, Vec<Tid>) {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let number = |at: usize| (at % 7) as f32 * ((at / dims % 5) as f32) + random();
    ((0..count * dims).map(number).collect(), (0..count).map(tid).collect())
}

#[test]
fn builds_do_not_depend_on_threads() {
    // Enough vectors for subtrees to be split in parallel.
    for (count, dims) in [(50_000, 6), (45_000, 40)] {
        let (vectors, tids) = example(count, dims);
        for metric in METRICS {
            let input =
                Input { metric, dims, vectors: &vectors, slack: None, tids: &tids, columns: 0, keys: &[] };
            let with = |threads: usize| -> (Directory, Vec<(PageKind, Vec<u8>)>) {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut sink = Sink::default();
                let directory = pool.install(|| {
                    build(&input, &BuildOptions::default(), &Progress::default(), &mut sink).unwrap()
                });
                (directory, sink.pages)
            };
            let (directory, pages) = with(1);
            let (other, other_pages) = with(4);
            assert_eq!(directory, other);
            assert!(pages == other_pages, "{metric:?} {dims}: pages differ");
        }
    }
}

/// What will soon be merged is not calibrated; it is searched exactly.
#[test]
fn short_lived_segments_have_no_cells() {
    const DIMS: usize = 16;
    let (vectors, tids) = example(10_000, DIMS);
    let metric = Metric::L2;
    let input =
        Input { metric, dims: DIMS, vectors: &vectors, slack: None, tids: &tids, columns: 0, keys: &[] };
    for short_lived in [false, true] {
        let options = BuildOptions { short_lived, ..BuildOptions::default() };
        let directory = build(&input, &options, &Progress::default(), &mut Sink::default()).unwrap();
        assert_eq!(directory.cells.is_some(), !short_lived);
    }
}

#[test]
fn builds_stop() {
    const DIMS: usize = 200;
    /// More than are encoded before the first are written.
    const COUNT: usize = 50_000;
    let (vectors, tids) = example(COUNT, DIMS);
    let input = Input {
        metric: Metric::L2,
        dims: DIMS,
        vectors: &vectors,
        slack: None,
        tids: &tids,
        columns: 0,
        keys: &[],
    };
    let options = BuildOptions { leaf_size: Some(16), sketch: Some(0), ..BuildOptions::default() };

    let progress = Progress::default();
    let mut sink = Sink::default();
    build(&input, &options, &progress, &mut sink).unwrap();
    assert_eq!(progress.vectors_done.load(Ordering::Relaxed), COUNT as u64);
    let leaf_pages = sink.pages.iter().filter(|(kind, _)| *kind == PageKind::Leaf).count();
    assert!(leaf_pages > 1000);

    // Before it begins.
    let progress = Progress::default();
    progress.cancel.store(true, Ordering::Relaxed);
    let mut sink = Sink::default();
    assert_eq!(build(&input, &options, &progress, &mut sink), Err(Error::Cancelled));
    assert_eq!(sink.pages.len(), 0);

    // In the middle.
    for after in [1, 2, 10, leaf_pages / 3] {
        let progress = Progress::default();
        let mut sink = Sink { cancel: Some((after, &progress)), ..Sink::default() };
        assert_eq!(build(&input, &options, &progress, &mut sink), Err(Error::Cancelled));
        assert!(sink.pages.len() <= after + 1, "{} pages after {after}", sink.pages.len());
        assert!(progress.vectors_done.load(Ordering::Relaxed) < COUNT as u64);
    }

    // By a sink that cannot go on.
    let mut sink = Sink { refuse: true, ..Sink::default() };
    let refused = build(&input, &options, &Progress::default(), &mut sink);
    assert_eq!(refused, Err(Error::TooLarge("the disk is full".into())));
}
