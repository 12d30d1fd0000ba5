//! Damaged pages and directories: the engine says so or returns some rows. It never panics, never runs for ever, and never
//! asks for memory that the pages which are there could not justify.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use bkd::layout::attributes::NULL_KEY;
use bkd::layout::leaf::LeafLayout;
use bkd::layout::meta::{Chain, Meta, Retired, SegmentEntry};
use bkd::layout::{PageHeader, PageKind, Payload, PAGE_SIZE, PAYLOAD};
use bkd::{
    check_segment, export, AttributeTable, BoxTable, BuildOptions, Directory, Error, Everything, Extent,
    Filter, Input, KeyRanges, MemStore, Metric, Query, Search, Segment, Space, Tid,
};
use common::*;
use proptest::prelude::*;

/// The system's allocator, which remembers the largest request.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static WATCHED: Watched = Watched;

/// More than reading any of the small segments here can take: axes and candidates of a few megabytes.
const REASONABLE: usize = 16 << 20;

/// Reads a segment in every way. How often a reader may answer is bounded by what the segment claims to hold.
fn read_all(segment: Segment, store: &MemStore) -> Result<(), Error> {
    let (dims, metric) = (segment.dims(), segment.directory().space.dense().unwrap());
    let (vectors, segment) = (u64::from(segment.vectors()), Arc::new(segment));
    for value in [0.3, -1e3] {
        let query = Query::new(metric, &vec![value; dims]).unwrap();
        let mut search = Search::new(query, vec![(segment.clone(), store)], Vec::new());
        let mut rows = 0;
        while search.next(&mut || ())?.is_some() {
            rows += 1;
            assert!(rows <= vectors);
        }
    }
    for column in 0..segment.columns() {
        let query = Query::new(metric, &vec![0.3; dims]).unwrap();
        let mut filter = Filter::new();
        filter.require(column, KeyRanges::any_of([(0, 4), (7, 1 << 50)]));
        let mut search = Search::new(query, vec![(segment.clone(), store)], Vec::new());
        search.set_filter(filter);
        while search.next(&mut || ())?.is_some() {}
    }
    let mut everything = Everything::new(vec![(segment.clone(), store)]);
    while everything.next(&mut || ())?.is_some() {}
    export(&segment, &store, &mut || (), &mut |_, _, _, _| ())
}

fn small(metric: Metric, dims: usize, count: usize, sketch: u32) -> Built {
    let rows: Vec<Vec<f32>> = (0..count)
        .map(|i| (0..dims).map(|j| ((i * 7919 + j * 104_729) % 1009) as f32 / 1009.0 + 0.1).collect())
        .collect();
    let (vectors, _) = prepare_all(metric, &rows);
    let tids: Vec<Tid> = (0..count).map(tid).collect();
    // Codes of no bytes, of one, and of eight.
    let keys: Vec<u64> =
        (0..count as u64).flat_map(|i| [7, if i % 5 == 4 { NULL_KEY } else { i % 9 }, i << 53]).collect();
    let input = Input { metric, dims, vectors: &vectors, slack: None, tids: &tids, columns: 3, keys: &keys };
    Built::with(
        &input,
        &BuildOptions { leaf_size: Some(40), sketch: Some(sketch), ..BuildOptions::default() },
    )
}

/// A change to a string of bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Set(prop::sample::Index, u8),
    /// Four bytes, as most numbers are.
    Word(prop::sample::Index, u32),
    Zero(prop::sample::Index, prop::sample::Index),
}

impl Damage {
    fn apply(&self, bytes: &mut [u8]) {
        match self {
            Damage::Flip(at, bit) => bytes[at.index(bytes.len())] ^= 1 << bit,
            Damage::Set(at, value) => bytes[at.index(bytes.len())] = *value,
            Damage::Word(at, word) => {
                let at = at.index(bytes.len() / 4) * 4;
                bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            Damage::Zero(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                bytes[from.min(to)..from.max(to)].fill(0);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let words = prop_oneof![
        Just(u32::MAX),
        Just(f32::NAN.to_bits()),
        Just(f32::INFINITY.to_bits()),
        Just((-1f32).to_bits()),
        Just(f32::MAX.to_bits()),
        any::<u32>(),
    ];
    prop_oneof![
        3 => (any::<prop::sample::Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (any::<prop::sample::Index>(), prop_oneof![Just(0u8), 251u8..=255, any::<u8>()])
            .prop_map(|(at, value)| Damage::Set(at, value)),
        2 => (any::<prop::sample::Index>(), words).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(from, to)| Damage::Zero(from, to)),
    ]
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(damage(), 1..8)
}

fn shapes() -> impl Strategy<Value = (Metric, usize, usize, u32)> {
    let dims = prop_oneof![Just(1usize), Just(3), Just(24), Just(70), Just(1100)];
    (prop::sample::select(&METRICS[..]), dims, 1usize..150, sketches())
}

fn assert_reasonable() {
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest <= REASONABLE, "{largest} bytes were asked for at once");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_pages(
        (metric, dims, count, sketch) in shapes(),
        places in prop::collection::vec((any::<prop::sample::Index>(), damages()), 1..4),
    ) {
        let mut built = small(metric, dims, count, sketch);
        for (page, damages) in places {
            let page = built.store.page_mut(page.index(built.store.len()) as u32);
            damages.iter().for_each(|damage| damage.apply(page));
        }
        let directory = built.segment.directory().clone();
        let _ = read_all(Segment::open(7, directory).unwrap(), &built.store);
        assert_reasonable();
    }

    #[test]
    fn missing_pages((metric, dims, count, sketch) in shapes(), keep: prop::sample::Index) {
        let built = small(metric, dims, count, sketch);
        let mut store = MemStore::new();
        built.copy_pages(&mut store, keep.index(built.store.len()));
        let directory = built.segment.directory().clone();
        prop_assert!(read_all(Segment::open(7, directory).unwrap(), &store).is_err());
    }

    #[test]
    fn damaged_directories(
        (metric, dims, count, sketch) in shapes(),
        damages in damages(),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let built = small(metric, dims, count, sketch);
        let mut bytes = built.segment.directory().encode().unwrap();
        match cut {
            Some(cut) => {
                bytes.truncate(cut.index(bytes.len()));
                prop_assert!(Directory::decode(&bytes).is_err());
            }
            // Most of what decides about sizes lies at the two ends.
            None => {
                for (at, damage) in damages.iter().enumerate() {
                    let (length, end) = (bytes.len(), bytes.len().min(40));
                    match at % 3 {
                        0 => damage.apply(&mut bytes[..end]),
                        1 => damage.apply(&mut bytes[length - end..]),
                        _ => damage.apply(&mut bytes),
                    }
                }
            }
        }
        if let Ok(segment) = Directory::decode(&bytes).and_then(|directory| Segment::open(7, directory)) {
            let _ = read_all(segment, &built.store);
        }
        assert_reasonable();
    }

    #[test]
    fn random_directories(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(directory) = Directory::decode(&bytes) {
            let _ = Segment::open(7, directory);
        }
        assert_reasonable();
    }

    #[test]
    fn damaged_headers_and_metapages(damages in damages(), random in prop::collection::vec(any::<u8>(), 200)) {
        let mut page = [0u8; PAGE_SIZE];
        PageHeader::new(PageKind::Meta, 1, 0).write(&mut page);
        damages.iter().for_each(|damage| damage.apply(&mut page[..64]));
        let _ = PageHeader::read(&page);

        let mut meta = Meta::new(Space::Dense(Metric::L2), 0, 3, 0);
        meta.delta = Chain { owner: meta.take_owner(), head: 1, tail: 2, pages: 2 };
        let entry = SegmentEntry { id: 9, directory: 3, directory_bytes: 100, vectors: 5, dead: 0, pages: 4 };
        meta.segments = vec![entry; 3];
        meta.retired = vec![Retired::Chain { owner: 3, head: 8, pages: 1, xid: 5 }];
        let mut payload: Payload = [0; PAYLOAD];
        meta.write(&mut payload);
        damages.iter().for_each(|damage| damage.apply(&mut payload[..300]));
        let _ = Meta::read(&payload);
        payload[..200].copy_from_slice(&random);
        let _ = Meta::read(&payload);
        assert_reasonable();
    }
}

/// A directory whose sizes agree with each other, but with no page.
#[test]
fn claims_without_pages() {
    let attributes = |columns: usize, most: u64| AttributeTable {
        columns: columns as u32,
        least: vec![0; columns],
        most: vec![most; columns],
        nulls: vec![false; columns],
    };
    let claims = [
        (u32::MAX, 1, attributes(0, 0)),
        (3_000_000_000, 16, attributes(0, 0)),
        (u32::MAX, 1, attributes(31, 0)),
        (3_000_000_000, 1, attributes(2, 1)),
    ];
    for (vectors, dims, attributes) in claims {
        let width = u64::from(attributes.most.first().is_some_and(|&most| most > 0));
        let columns = attributes.columns as usize;
        let leaf = BoxTable {
            vectors: vec![vectors],
            low: vec![0.0; dims],
            high: vec![1.0; dims],
            beyond: vec![0.0],
        };
        let mut directory = Directory {
            space: Space::Dense(Metric::L2),
            dims: dims as u32,
            max_norm: 1.0,
            radius: 1.0,
            axes: bkd::Axes::Own,
            sketch: None,
            leaves: leaf,
            cells: None,
            attributes,
            extents: Vec::new(),
        };
        // As many blocks as the layout asks for; no other number is accepted.
        let chunks = LeafLayout::new(dims).leaf_end(0, vectors as usize);
        let record = dims.next_multiple_of(8) / 2 + 2;
        let blocks = chunks.div_ceil((PAYLOAD / 64) as u64)
            + u64::from(vectors).div_ceil((PAYLOAD / record) as u64)
            + u64::from(vectors).div_ceil((PAYLOAD / 6) as u64)
            + (u64::from(vectors).next_multiple_of(8) * width * columns as u64).div_ceil(PAYLOAD as u64);
        directory.extents = vec![Extent { start: 1, blocks: blocks as u32 }];
        let directory = Directory::decode(&directory.encode().unwrap()).unwrap();
        let mut wrong = directory.clone();
        wrong.extents[0].blocks += 1;
        assert!(matches!(Segment::open(7, wrong), Err(Error::Corrupt(_))));

        let segment = Arc::new(Segment::open(7, directory).unwrap());
        let store = MemStore::new();
        let query = Query::new(Metric::L2, &vec![0.5; dims]).unwrap();
        let mut search = Search::new(query, vec![(segment.clone(), &store)], Vec::new());
        assert!(matches!(search.next(&mut || ()), Err(Error::Corrupt(_))));
        let mut everything = Everything::new(vec![(segment.clone(), &store)]);
        assert!(matches!(everything.next(&mut || ()), Err(Error::Corrupt(_))));
        let exported = export(&segment, &&store, &mut || (), &mut |_, _, _, _| ());
        assert!(matches!(exported, Err(Error::Corrupt(_))));
        if columns > 0 {
            let mut filter = Filter::new();
            filter.require(columns - 1, KeyRanges::any_of([(0, 0)]));
            let query = Query::new(Metric::L2, &vec![0.5; dims]).unwrap();
            let mut search = Search::new(query, vec![(segment.clone(), &store)], Vec::new());
            search.set_filter(filter);
            assert!(matches!(search.next(&mut || ()), Err(Error::Corrupt(_))));
        }
        let mut findings = 0;
        check_segment(&segment, &&store, &mut || (), &mut |_| findings += 1);
        assert!(findings > 0);
        assert_reasonable();
    }
}
