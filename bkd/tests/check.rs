//! The check of a segment: silent about honest ones, whatever the vectors are, and not about damaged ones.

mod common;

use bkd::layout::leaf::{LeafLayout, GROUP, LANES};
use bkd::layout::records::RecordLayout;
use bkd::layout::{tids, PageKind, Payload, CHUNK, PAYLOAD};
use bkd::{
    check_segment, Axes, Body, BoxTable, Directory, Error, Extent, Finding, MemStore, Metric, PageRead,
    Result, RowCheck, Segment, Space, Tid,
};
use common::*;
use proptest::prelude::*;

fn findings(segment: &Segment, store: &MemStore) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_segment(segment, &store, &mut || (), &mut |finding| findings.push(finding));
    findings
}

/// What the check of rows says of all rows that are not dead. `vector` returns what was indexed of a row.
fn problems_of_rows<'a>(built: &Built, vector: impl Fn(Tid) -> &'a [f32]) -> Vec<(u32, &'static str)> {
    let mut check = RowCheck::new(built.segment.clone(), &built.store);
    // In an order in which neighbours are mostly of different leaves.
    let count = built.segment.vectors();
    let ordinals = (0..count).map(|at| (u64::from(at) * 7919 % u64::from(count)) as u32);
    let tids = built.tids();
    let live = ordinals.filter(|&at| !tids[at as usize].is_dead());
    live.filter_map(|at| Some((at, check.check(at, Body::Dense(vector(tids[at as usize]))).unwrap()?)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn honest_segments_are_sound(
        metric in prop::sample::select(&METRICS[..]),
        vectors in vectors(),
        plan in plans(),
    ) {
        let Some(index) = Index::new(metric, &vectors, &plan) else { return Ok(()) };
        let (prepared, _) = prepare_all(metric, &index.rows);
        let dims = index.dims();
        let vector = |tid: Tid| &prepared[common::index(tid) * dims..][..dims];
        let mut generations = vec![index.segments];
        for _ in 0..2 {
            let last = generations.last().unwrap();
            let next: Vec<Built> = Built::merged(metric, last, &plan.options()).into_iter().collect();
            generations.push(next);
        }
        for built in generations.iter().flatten() {
            prop_assert_eq!(findings(&built.segment, &built.store), []);
            prop_assert_eq!(problems_of_rows(built, vector), []);
        }
    }
}

/// Vectors in clusters, on different scales in different dimensions.
fn clusters(dims: usize, count: usize, random: &mut impl FnMut() -> f32) -> Vec<Vec<f32>> {
    let centers: Vec<f32> = (0..7 * dims).map(|_| 3.0 * random()).collect();
    let number = |(dim, center): (usize, &f32), by: f32| (center + by) * (1 + dim % 3) as f32;
    (0..count)
        .map(|at| {
            let center = &centers[at % 7 * dims..][..dims];
            center.iter().enumerate().map(|center| number(center, random())).collect()
        })
        .collect()
}

const LEAF_SIZE: usize = 100;

fn segment_of(metric: Metric, dims: usize, count: usize) -> Built {
    let rows = clusters(dims, count, &mut random(dims as u64));
    Index::new(metric, &rows, &Plan::one(LEAF_SIZE)).unwrap().segments.pop().unwrap()
}

#[test]
fn the_largest_and_the_most_vectors_are_sound() {
    // The dimensions of one at a limit, and enough vectors for leaves of the usual size.
    let shapes = [
        (16_000, 20, 7, 0),
        (16_000, 3, 1, 0),
        (4_096, 40, 7, 5),
        (2_000, 300, 2048, 0),
        (30, 20_000, 4096, 0),
        (30, 20_000, 4096, 8),
    ];
    for (dims, count, leaf_size, sketch) in shapes {
        for metric in METRICS {
            let rows = clusters(dims, count, &mut random(3));
            let plan = Plan { sketch: Some(sketch), ..Plan::one(leaf_size) };
            let index = Index::new(metric, &rows, &plan).unwrap();
            let (prepared, _) = prepare_all(metric, &index.rows);
            let vector = |tid: Tid| &prepared[common::index(tid) * dims..][..dims];
            let merged = Built::merged(metric, &index.segments, &plan.options()).unwrap();
            for built in [&index.segments[0], &merged] {
                assert_eq!(findings(&built.segment, &built.store), []);
                assert_eq!(problems_of_rows(built, vector), []);
            }
        }
    }
}

#[test]
fn rows_that_are_not_what_was_indexed_are_named() {
    for built in segments() {
        let segment = built.segment.clone();
        let rows = clusters(segment.dims(), 950, &mut random(segment.dims() as u64));
        let (prepared, _) = prepare_all(segment.directory().space.dense().unwrap(), &rows);
        let row = |at: usize| &prepared[at * segment.dims()..][..segment.dims()];
        let tids = built.tids();
        let mut check = RowCheck::new(segment.clone(), &built.store);
        for at in 0..950u32 {
            let own = index(tids[at as usize]);
            assert_eq!(check.check(at, Body::Dense(row(own))), Ok(None));
            // The next row is of another cluster.
            assert_ne!(check.check(at, Body::Dense(row((own + 1) % 950))), Ok(None), "vector {at}");
            // One dimension is some steps off.
            let mut moved = row(own).to_vec();
            moved[1] += 1.0;
            assert_ne!(check.check(at, Body::Dense(&moved)), Ok(None), "vector {at}");
        }
        assert!(check.check(950, Body::Dense(row(0))).is_err());
        assert!(check.check(0, Body::Dense(&row(0)[1..])).is_err());
    }
}

/// The chunk behind so many leaves of [`LEAF_SIZE`] vectors.
fn leaves_end(dims: usize, leaves: usize) -> u64 {
    let layout = LeafLayout::new(dims);
    (0..leaves).fold(0, |end, _| layout.leaf_end(end, LEAF_SIZE))
}

/// Where things lie in a segment whose leaves have [`LEAF_SIZE`] vectors: page and byte.
struct Place<'a>(&'a Segment);

impl Place<'_> {
    fn in_stream(&self, chunk: u64, byte: usize) -> (u32, usize) {
        let at = chunk as usize * CHUNK + byte;
        ((at / PAYLOAD) as u32, at % PAYLOAD)
    }

    fn leaf(&self, leaf: usize) -> u64 {
        leaves_end(self.0.dims(), leaf)
    }

    fn header(&self, leaf: usize, byte: usize) -> (u32, usize) {
        self.in_stream(self.leaf(leaf), byte)
    }

    /// The lower end of a dimension, or its step.
    fn grid(&self, leaf: usize, dim: usize, is_step: bool) -> (u32, usize) {
        self.in_stream(
            self.leaf(leaf) + 1 + (dim / GROUP) as u64,
            (usize::from(is_step) * GROUP + dim % GROUP) * 4,
        )
    }

    /// A byte of a chunk of the block of a vector; chunk 0 has its norm and residual.
    fn block(&self, leaf: usize, vector: usize, chunk: usize, byte: usize) -> (u32, usize) {
        let block = LeafLayout::new(self.0.dims()).block_chunk(self.leaf(leaf), vector / LANES);
        self.in_stream(block + chunk as u64, byte)
    }

    fn norm(&self, leaf: usize, vector: usize) -> (u32, usize) {
        self.block(leaf, vector, 0, vector % LANES * 2)
    }

    fn residual(&self, leaf: usize, vector: usize) -> (u32, usize) {
        self.block(leaf, vector, 0, (LANES + vector % LANES) * 2)
    }

    /// Four dimensions' low half, and four others' high one.
    fn code(&self, leaf: usize, vector: usize, dim: usize) -> (u32, usize) {
        self.block(leaf, vector, 1 + dim / GROUP, vector % LANES * 4 + dim % 4)
    }

    /// A byte of a fine record.
    fn fine(&self, ordinal: usize, byte: usize) -> (u32, usize) {
        let layout = RecordLayout::fine(self.0.dims());
        let (page, at) = layout.position(ordinal as u32);
        (self.0.fine_pages().start + page, at + byte)
    }

    fn tid(&self, ordinal: usize) -> (u32, usize) {
        let (page, slot) = tids::position(ordinal as u32);
        (self.0.tid_pages().start + page, slot * Tid::SIZE)
    }
}

/// Findings after a change of bytes, which is undone.
fn findings_with(built: &mut Built, (page, at): (u32, usize), bytes: &[u8]) -> Vec<Finding> {
    let old = *built.store.page_mut(page);
    built.store.page_mut(page)[at..at + bytes.len()].copy_from_slice(bytes);
    let found = findings(&built.segment, &built.store);
    *built.store.page_mut(page) = old;
    found
}

/// Changes bytes and expects a finding on their page that says so.
#[track_caller]
fn assert_named(built: &mut Built, at: (u32, usize), bytes: &[u8], problem: &str) {
    let found = findings_with(built, at, bytes);
    let named = |finding: &Finding| finding.sequence == Some(at.0) && finding.problem.contains(problem);
    assert!(found.iter().any(named), "no \"{problem}\" on page {} in {found:?}", at.0);
}

/// Changes a number by so much and expects a finding, on whichever page of the leaf.
#[track_caller]
fn assert_scaled_named(built: &mut Built, at: (u32, usize), change: impl Fn(f32) -> f32, problem: &str) {
    let changed = change(float_at(built, at));
    let found = findings_with(built, at, &changed.to_le_bytes());
    let named = |finding: &Finding| finding.problem.contains(problem);
    assert!(found.iter().any(named), "no \"{problem}\" in {found:?}");
}

fn float_at(built: &mut Built, (page, at): (u32, usize)) -> f32 {
    f32::from_le_bytes(built.store.page_mut(page)[at..at + 4].try_into().unwrap())
}

fn code_at(built: &mut Built, (page, at): (u32, usize)) -> u16 {
    u16::from_le_bytes(built.store.page_mut(page)[at..at + 2].try_into().unwrap())
}

/// Of every metric, on the vectors' own axes and on others.
fn segments() -> impl Iterator<Item = Built> {
    METRICS.into_iter().flat_map(|metric| [5, 70].map(|dims| segment_of(metric, dims, 950)))
}

#[test]
fn damaged_headers_are_named() {
    for mut built in segments() {
        let segment = built.segment.clone();
        let header = |byte| Place(&segment).header(3, byte);
        let scale = |at: usize| header(4 + at * 4);
        assert_named(&mut built, header(0), &[7], "instead of 100");
        assert_named(&mut built, header(44), &[1], "header does not use");
        for at in 0..10 {
            for nonsense in [f32::NAN, f32::INFINITY, -1.0] {
                assert_named(&mut built, scale(at), &nonsense.to_le_bytes(), "not finite");
            }
        }
        for by in [0.5, 1.5] {
            let change = |value: f32| value * by;
            assert_scaled_named(&mut built, scale(0), change, "another norm");
            assert_scaled_named(&mut built, scale(1), change, "another norm");
            assert_scaled_named(&mut built, scale(2), change, "residuals");
            assert_scaled_named(&mut built, scale(3), change, "residuals");
            assert_scaled_named(&mut built, scale(8), change, "largest norms");
            assert_scaled_named(&mut built, scale(9), change, "largest norms");
        }
        assert_named(&mut built, scale(7), &1f32.to_le_bytes(), "does not have");
        // Fine residuals that are too small, all of them, contradict some of the coarse ones.
        assert_named(&mut built, scale(4), &[0; 8], "residuals");
    }
}

#[test]
fn damaged_grids_are_named() {
    for mut built in segments() {
        let (segment, dims) = (built.segment.clone(), built.segment.dims());
        let grid = |dim, is_step| Place(&segment).grid(2, dim, is_step);
        assert_named(&mut built, grid(1, false), &f32::INFINITY.to_le_bytes(), "grid is none");
        for nonsense in [f32::NAN, -0.5, -0.0, 1e-35] {
            assert_named(&mut built, grid(1, true), &nonsense.to_le_bytes(), "grid is none");
        }
        assert_named(&mut built, grid(dims, false), &1f32.to_le_bytes(), "more dimensions");
        assert_named(&mut built, grid(dims, true), &1f32.to_le_bytes(), "more dimensions");
        assert_scaled_named(&mut built, grid(1, true), |step| step * 1.01, "another norm");
        assert_scaled_named(&mut built, grid(1, true), |_| 0.0, "codes where there is no grid");
        // Nothing in the leaf depends on where its grid begins, but the directory knows.
        for by in [-100.0, 100.0] {
            assert_scaled_named(&mut built, grid(1, false), |low| low + by, "outside of the leaf's box");
        }
    }
}

#[test]
fn damaged_vectors_are_named() {
    for mut built in segments() {
        let (segment, dims) = (built.segment.clone(), built.segment.dims());
        let place = Place(&segment);
        for vector in [400usize, 417, 499] {
            let name = |problem: &str| format!("vector {vector} {problem}");
            let within = vector - 400;
            // A norm that is two steps away.
            let at = place.norm(4, within);
            let norm = code_at(&mut built, at);
            let other = if norm < 1000 { norm + 2 } else { norm - 2 };
            assert_named(&mut built, at, &other.to_le_bytes(), &name("has another norm"));
            // A residual at the other end of the scale.
            let at = place.residual(4, within);
            let residual = code_at(&mut built, at);
            let other = if residual > 32_768 { 0u16 } else { 65_535 };
            let found = findings_with(&mut built, at, &other.to_le_bytes());
            assert!(
                found.iter().all(|finding| finding.problem.contains(&name("has residuals"))),
                "{found:?}"
            );
            // Any bit of the high half of a code.
            for bit in 0..8 {
                let at = place.code(4, within, 2);
                let code = built.store.page_mut(at.0)[at.1];
                // The dimensions of the high nibbles of the first group of five dimensions: the fifth, and padding.
                let problem = if dims == 5 && bit >= 4 { "has codes where" } else { "has another norm" };
                assert_named(&mut built, at, &[code ^ 1 << bit], &name(problem));
            }
        }
    }
}

#[test]
fn what_is_not_used_is_named() {
    for mut built in segments() {
        let segment = built.segment.clone();
        let place = Place(&segment);
        // 50 vectors are in the last leaf, two of them in its last block.
        for at in [place.norm(9, 50), place.residual(9, 63), place.code(9, 50, 0), place.code(9, 63, 3)] {
            let found = findings_with(&mut built, at, &[1]);
            assert!(
                found.iter().any(|finding| finding.problem.contains("more vectors than the leaf")),
                "{found:?}"
            );
        }
        for pages in [segment.leaf_pages(), segment.fine_pages(), segment.tid_pages()] {
            assert_named(&mut built, (pages.end - 1, PAYLOAD - 1), &[1], "does not use");
        }
        // Four bytes at the end of a full page of row addresses, and what is left of a full page of fine records.
        if segment.fine_pages().len() > 1 {
            assert_named(&mut built, (segment.fine_pages().start, PAYLOAD - 1), &[1], "does not use");
        }
        if segment.dims() == 5 {
            let at = place.fine(123, 1);
            let found = findings_with(&mut built, at, &[0xf0]);
            assert!(
                found.iter().any(|finding| finding.problem.contains("codes where there is no grid")),
                "{found:?}"
            );
        }
    }
}

#[test]
fn impossible_row_addresses_are_named() {
    for mut built in segments() {
        let segment = built.segment.clone();
        for ordinal in [0, 500, 949] {
            let at = Place(&segment).tid(ordinal);
            for tid in [Tid::new(3, 0), Tid::new(u32::MAX, 1), Tid::new(1, 3000)] {
                let mut bytes = [0; Tid::SIZE];
                tid.write(&mut bytes);
                assert_named(&mut built, at, &bytes, "cannot be one");
            }
            assert_eq!(findings_with(&mut built, at, &[0; Tid::SIZE]), [], "a removed row");
        }
    }
}

#[test]
fn pages_that_cannot_be_read_are_named_once_and_the_others_looked_at() {
    /// Some pages of a store are gone.
    struct Holes<'a>(&'a MemStore, &'a [u32]);

    impl PageRead for Holes<'_> {
        type Page<'p>
            = &'p Payload
        where
            Self: 'p;
        type Lent<'a>
            = ()
        where
            Self: 'a;

        fn page(&self, kind: PageKind, sequence: u32) -> Result<&Payload> {
            match self.1.contains(&sequence) {
                true => Err(Error::Corrupt("gone".into())),
                false => self.0.page(kind, sequence),
            }
        }
    }

    for mut built in segments() {
        let segment = built.segment.clone();
        let gone = [0, segment.fine_pages().start, segment.tid_pages().start];
        let at = Place(&segment).norm(9, 3);
        built.store.page_mut(at.0)[at.1] ^= 16;
        let mut found = Vec::new();
        check_segment(&segment, &Holes(&built.store, &gone), &mut || (), &mut |finding| found.push(finding));
        // The last leaf is readable if its fine records are not on the page that is gone.
        let readable = segment.fine_pages().len() > 1;
        let others = found.iter().filter(|finding| finding.problem != "gone").count();
        assert_eq!(others, usize::from(readable), "{found:?}");
        let mut pages: Vec<u32> = found.iter().filter_map(|finding| finding.sequence).collect();
        pages.sort();
        let mut expected = gone.to_vec();
        expected.extend(readable.then_some(at.0));
        expected.sort();
        assert_eq!(pages, expected);
    }
}

#[test]
fn a_segment_of_pages_that_do_not_exist_is_given_up() {
    let built = segment_of(Metric::L2, 5, 950);
    let mut directory = built.segment.directory().clone();
    // As if there were a thousand times as many leaves.
    let leaves = directory.leaves.vectors.len();
    let BoxTable { vectors, low, high, beyond } = &mut directory.leaves;
    *vectors = vec![LEAF_SIZE as u32; leaves * 1000];
    beyond.resize(leaves * 1000, 0.0);
    for ends in [low, high] {
        *ends = vec![0.0; 5 * leaves * 1000];
    }
    let chunks = leaves_end(5, leaves * 1000) as usize;
    let vectors = LEAF_SIZE * leaves * 1000;
    let pages = chunks.div_ceil(PAYLOAD / CHUNK)
        + RecordLayout::fine(5).pages(vectors)
        + vectors.div_ceil(tids::PER_PAGE);
    directory.extents = vec![Extent { start: 1, blocks: pages as u32 }];
    assert!(pages > 2000 && built.store.len() < 100);
    let found = findings(&Segment::open(7, directory).unwrap(), &built.store);
    assert_eq!(found.len(), 1001);
    assert!(found[1000].problem.contains("more problems"));
}

#[test]
fn damaged_directories_are_named() {
    type Change = fn(&mut Directory);
    let all: [(&str, Change); 7] = [
        ("longer than any", |directory| directory.max_norm *= 0.7),
        ("no vector is as long", |directory| directory.max_norm *= 1.2),
        ("outside of the leaf's box", |directory| directory.leaves.low[3] += 0.5),
        ("outside of the leaf's box", |directory| directory.leaves.high[3] = directory.leaves.low[3]),
        ("larger than its vectors", |directory| directory.leaves.low[3] -= clearly(directory)),
        ("larger than its vectors", |directory| directory.leaves.high[3] += clearly(directory)),
        ("instead of", |directory| {
            directory.leaves.vectors[2] -= 1;
            directory.leaves.vectors[3] += 1;
        }),
    ];
    let own: [(&str, Change); 2] = [
        ("of others", |directory| directory.radius = 1.0),
        ("of others", |directory| directory.leaves.beyond[1] = 1.0),
    ];
    let principal: [(&str, Change); 6] = [
        ("farther from the axes' center", |directory| directory.radius *= 0.7),
        ("no vector is as long", |directory| directory.radius *= 1.2),
        ("orthonormal", |directory| rows(directory)[7] += 0.01),
        ("orthonormal", |directory| {
            let rows = rows(directory);
            rows.copy_within(..70, 70);
        }),
        ("box", |directory| rows(directory)[..70].iter_mut().for_each(|x| *x = -*x)),
        ("box", |directory| match &mut directory.axes {
            Axes::Principal { center, .. } => center[3] += 10.0,
            Axes::Own => unreachable!(),
        }),
    ];
    let inner: [(&str, Change); 2] = [
        ("farther beyond the axes", |directory| directory.leaves.beyond[3] *= 0.3),
        ("larger than its vectors", |directory| directory.leaves.beyond[3] *= 2.0),
    ];
    // What is known of where an L1 residual points is less.
    fn clearly(directory: &Directory) -> f32 {
        if directory.space == Space::Dense(Metric::L1) {
            3.0
        } else {
            0.5
        }
    }
    fn rows(directory: &mut Directory) -> &mut Vec<f32> {
        match &mut directory.axes {
            Axes::Principal { rows, .. } => rows,
            Axes::Own => unreachable!(),
        }
    }
    for built in segments() {
        let directory = built.segment.directory();
        let is_own = directory.axes == Axes::Own;
        let is_inner = directory.space == Space::Dense(Metric::InnerProduct);
        let mut changes = all.to_vec();
        changes.extend(if is_own { &own[..] } else { &principal[..] });
        changes.extend(inner.iter().filter(|_| is_inner && !is_own));
        if !is_own && !is_inner {
            changes.push(("another metric", |directory| directory.leaves.beyond[1] = 1.0));
        }
        for (problem, change) in changes {
            let mut changed = directory.clone();
            change(&mut changed);
            let Ok(segment) = Segment::open(7, changed) else { panic!("{problem}: not opened") };
            let found = findings(&segment, &built.store);
            let named = |finding: &Finding| finding.problem.contains(problem);
            assert!(found.iter().any(named), "no \"{problem}\" for {} in {found:?}", directory.space.name());
        }
    }
}

/// Shares of single-bit changes that are found, by what they hit: the checksum of a page finds all of them, but what was damaged before
/// the page was written must be found here.
#[test]
fn most_changes_of_a_bit_are_found() {
    const TRIES: usize = 400;
    /// A random number below another.
    type Below<'a> = dyn FnMut(usize) -> usize + 'a;
    for dims in [4, 24, 64, 200] {
        let mut built = segment_of(Metric::L2, dims, 950);
        let segment = built.segment.clone();
        let place = Place(&segment);
        let mut random = random(7);
        let mut below = |end: usize| ((random() + 1.0) / 2.0 * end as f32) as usize % end;
        let mut share = |of: &dyn Fn(usize, usize, &mut Below) -> (u32, usize)| {
            let found = (0..TRIES).filter(|_| {
                let (leaf, vector) = (below(9), below(LEAF_SIZE));
                let (page, at) = of(leaf, vector, &mut below);
                let byte = built.store.page_mut(page)[at] ^ 1 << below(8);
                !findings_with(&mut built, (page, at), &[byte]).is_empty()
            });
            found.count() as f64 / TRIES as f64
        };
        let header = share(&|leaf, _, below| place.header(leaf, below(CHUNK)));
        let low = share(&|leaf, _, below| {
            let (page, at) = place.grid(leaf, below(dims), false);
            (page, at + below(4))
        });
        let step = share(&|leaf, _, below| {
            let (page, at) = place.grid(leaf, below(dims), true);
            (page, at + below(4))
        });
        let norm = share(&|leaf, vector, below| {
            let (page, at) = place.norm(leaf, vector);
            (page, at + below(2))
        });
        let residual = share(&|leaf, vector, below| {
            let (page, at) = place.residual(leaf, vector);
            (page, at + below(2))
        });
        let code = share(&|leaf, vector, below| place.code(leaf, vector, below(dims)));
        let fine = share(&|leaf, vector, below| {
            place.fine(leaf * LEAF_SIZE + vector, below(dims.next_multiple_of(8) / 2))
        });
        println!(
            "{dims} dimensions: header {header:.2}, low {low:.2}, step {step:.2}, norm {norm:.2}, \
             residual {residual:.2}, coarse code {code:.3}, fine code {fine:.2}"
        );
        assert!(code > 0.98 && norm > 0.9, "{dims}: {code} {norm}");
    }
}

/// What is said of the boxes of cells, in a segment that is large enough to have some.
#[test]
fn damaged_cells_are_named() {
    type Change = fn(&mut BoxTable);
    let all: [(&str, Change); 4] = [
        ("outside of its cell's box", |cells| cells.low[3] += 0.3 * (cells.high[3] - cells.low[3])),
        ("outside of its cell's box", |cells| cells.high[3] = cells.low[3]),
        ("one of its cells", |cells| cells.low[3] -= 3.0),
        ("one of its cells", |cells| cells.high[3] += 3.0),
    ];
    let inner: [(&str, Change); 2] = [
        ("outside of its cell's box", |cells| cells.beyond[3] *= 0.3),
        ("one of its cells", |cells| cells.beyond[3] *= 2.0),
    ];
    for (metric, dims) in [(Metric::L2, 40), (Metric::Cosine, 10), (Metric::InnerProduct, 40)] {
        let rows = clusters(dims, 9000, &mut random(dims as u64));
        let built = Index::new(metric, &rows, &Plan::one(1024)).unwrap().segments.pop().unwrap();
        assert_eq!(findings(&built.segment, &built.store), []);
        let more = if metric == Metric::InnerProduct { &inner[..] } else { &[] };
        for (expected, change) in all.iter().chain(more) {
            let mut directory = built.segment.directory().clone();
            let cells = &mut directory.cells.as_mut().expect("it is large enough").boxes;
            change(cells.iter_mut().find(|leaf| leaf.vectors.len() > 3).expect("leaves have some cells"));
            let found = findings(&Segment::open(7, directory).unwrap(), &built.store);
            assert!(found.iter().any(|finding| finding.problem.contains(expected)), "{expected}: {found:?}");
        }
    }
}
