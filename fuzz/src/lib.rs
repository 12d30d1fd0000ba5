//! What the targets share: honest segments, changes to their bytes, and every way of reading them.
//!
//! The contract that the targets test is that of `bkd/tests/corruption.rs`: whatever the bytes are, a reader returns an
//! error or some rows. It does not panic, does not run for ever, and does not ask for memory that the pages which are
//! there could not justify. (The limits on time and memory are options of the fuzzer, see the Makefile.)

use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use bkd::layout::attributes::NULL_KEY;
use bkd::layout::{PageKind, Payload};
use bkd::{
    build, export, prepare, BuildOptions, Directory, Error, Everything, Extent, Filter, Input, KeyRanges,
    MemStore, Metric, PageRead, PageSink, Progress, Query, Result, Search, Segment, Tid,
};

/// Metric, dimensions, vectors, leaf size and directions of sketches of the segments that are damaged: one leaf and many, vectors that take
/// a part of a page and several pages, axes of the vectors' own and principal components.
const SHAPES: [(Metric, usize, usize, usize, u32); 13] = [
    (Metric::L2, 1, 100, 16, 0),
    (Metric::L2, 3, 150, 40, 0),
    (Metric::Cosine, 3, 33, 40, 0),
    (Metric::InnerProduct, 8, 64, 16, 0),
    (Metric::L2, 24, 120, 40, 0),
    (Metric::InnerProduct, 70, 90, 40, 0),
    (Metric::Cosine, 70, 50, 16, 0),
    (Metric::L2, 1100, 20, 16, 0),
    (Metric::L1, 5, 80, 40, 0),
    (Metric::L1, 70, 60, 16, 0),
    (Metric::L2, 70, 120, 16, 8),
    (Metric::Cosine, 300, 60, 16, 7),
    (Metric::InnerProduct, 70, 100, 16, 3),
];

/// A segment as it was built.
pub struct Honest {
    pub directory: Directory,
    /// The encoded directory.
    pub encoded: Vec<u8>,
    pages: Vec<(PageKind, Payload)>,
}

impl Honest {
    /// One of the segments, built when it is asked for first.
    pub fn choose(choice: u8) -> &'static Honest {
        static ALL: [OnceLock<Honest>; SHAPES.len()] = [const { OnceLock::new() }; SHAPES.len()];
        let choice = usize::from(choice) % SHAPES.len();
        ALL[choice].get_or_init(|| Honest::build(SHAPES[choice]))
    }

    fn build((metric, dims, count, leaf_size, sketch): (Metric, usize, usize, usize, u32)) -> Honest {
        let (mut vectors, mut tids, mut prepared) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..count {
            let coordinate = |dim| ((row * 7919 + dim * 104_729) % 1009) as f32 / 1009.0 + 0.1;
            let vector: Vec<f32> = (0..dims).map(coordinate).collect();
            prepare(metric, &vector, &mut prepared);
            vectors.extend_from_slice(&prepared);
            tids.push(Tid::new(row as u32 + 1, 1));
        }
        // Codes of no bytes, of one, and of eight; a third of the segments have none of them.
        let columns = if count % 3 == 0 { 0 } else { 3 };
        let keys: Vec<u64> = (0..count as u64)
            .flat_map(|row| [7, if row % 5 == 4 { NULL_KEY } else { row % 9 }, row << 53])
            .take(count * columns)
            .collect();
        let input = Input { metric, dims, vectors: &vectors, slack: None, tids: &tids, columns, keys: &keys };
        let options =
            BuildOptions { leaf_size: Some(leaf_size), sketch: Some(sketch), ..BuildOptions::default() };
        let mut pages = Pages::default();
        let mut directory =
            build(&input, &options, &Progress::default(), &mut pages).expect("small and sound");
        directory.extents = vec![Extent { start: 1, blocks: pages.0.len() as u32 }];
        Honest { encoded: directory.encode().expect("small"), directory, pages: pages.0 }
    }

    /// The pages, with changes.
    pub fn store(&self, damages: &[PageDamage]) -> MemStore {
        let mut store = MemStore::new();
        for (kind, payload) in &self.pages {
            store.append(*kind, payload, payload.len()).expect("memory takes every page");
        }
        for PageDamage { page, damage } in damages {
            damage.apply(store.page_mut(u32::from(*page) % self.pages.len() as u32));
        }
        store
    }
}

/// The pages of a segment as they are built.
#[derive(Default)]
struct Pages(Vec<(PageKind, Payload)>);

impl PageSink for Pages {
    fn append(&mut self, kind: PageKind, payload: &Payload, _used: usize) -> Result<()> {
        self.0.push((kind, *payload));
        Ok(())
    }
}

/// A change to a string of bytes.
#[derive(Arbitrary, Clone, Debug)]
pub enum Damage {
    /// One bit.
    Flip { at: u16, bit: u8 },
    /// One byte.
    Byte { at: u16, value: u8 },
    /// Four bytes, where most numbers start.
    Word { at: u16, value: u32 },
    /// A number that is hard to compute with.
    Float { at: u16, value: Hostile },
    /// A run of equal bytes.
    Fill { at: u16, length: u16, value: u8 },
    /// Bytes that were elsewhere.
    Copy { from: u16, to: u16, length: u8 },
}

/// Numbers that are hard to compute with.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Hostile {
    Nan,
    Infinity,
    MinusInfinity,
    Largest,
    Smallest,
    Denormal,
    MinusOne,
}

impl Hostile {
    fn value(self) -> f32 {
        match self {
            Hostile::Nan => f32::NAN,
            Hostile::Infinity => f32::INFINITY,
            Hostile::MinusInfinity => f32::NEG_INFINITY,
            Hostile::Largest => f32::MAX,
            Hostile::Smallest => f32::MIN,
            Hostile::Denormal => f32::from_bits(1),
            Hostile::MinusOne => -1.0,
        }
    }
}

impl Damage {
    /// Changes `bytes`; positions are taken modulo their number.
    pub fn apply(&self, bytes: &mut [u8]) {
        let within = |at: u16, length: usize| usize::from(at) % (bytes.len().saturating_sub(length) + 1);
        match *self {
            _ if bytes.is_empty() => {}
            Damage::Flip { at, bit } => bytes[within(at, 1)] ^= 1 << (bit % 8),
            Damage::Byte { at, value } => bytes[within(at, 1)] = value,
            Damage::Word { at, value } => Self::word(bytes, at, value),
            Damage::Float { at, value } => Self::word(bytes, at, value.value().to_bits()),
            Damage::Fill { at, length, value } => {
                let length = usize::from(length).min(bytes.len());
                let at = within(at, length);
                bytes[at..at + length].fill(value);
            }
            Damage::Copy { from, to, length } => {
                let length = usize::from(length).min(bytes.len());
                let (from, to) = (within(from, length), within(to, length));
                bytes.copy_within(from..from + length, to);
            }
        }
    }

    fn word(bytes: &mut [u8], at: u16, value: u32) {
        if let (words @ 1.., _) = (bytes.len() / 4, ()) {
            let at = usize::from(at) % words * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// A change to one of a segment's pages.
#[derive(Arbitrary, Clone, Debug)]
pub struct PageDamage {
    page: u8,
    damage: Damage,
}

/// Reads a segment in every way. How often a reader may answer is bounded by what the segment claims to hold.
///
/// # Errors
/// The first that a reader returns.
pub fn read_all<S: PageRead>(segment: Segment, store: &S) -> Result<()> {
    let Some(metric) = segment.directory().space.dense() else {
        return Err(Error::corrupt("the segment is not of vectors"));
    };
    let dims = segment.dims();
    let (vectors, segment) = (u64::from(segment.vectors()), Arc::new(segment));
    for value in [0.3, -1e3] {
        let query = Query::new(metric, &vec![value; dims]).expect("a query of ordinary size");
        let mut search = Search::new(query, vec![(segment.clone(), store)], Vec::new());
        let mut rows = 0;
        while search.next(&mut || ())?.is_some() {
            rows += 1;
            assert!(rows <= vectors, "more rows than the segment has");
        }
    }
    for column in 0..segment.columns() {
        let query = Query::new(metric, &vec![0.3; dims]).expect("a query of ordinary size");
        let mut filter = Filter::new();
        filter.require(column, KeyRanges::any_of([(0, 4), (7, 1 << 50)]));
        let mut search = Search::new(query, vec![(segment.clone(), store)], Vec::new());
        search.set_filter(filter);
        while search.next(&mut || ())?.is_some() {}
    }
    let mut everything = Everything::new(vec![(segment.clone(), store)]);
    let mut rows = 0;
    while everything.next(&mut || ())?.is_some() {
        rows += 1;
        assert!(rows <= vectors, "more rows than the segment has");
    }
    let mut rows = 0;
    export(&segment, store, &mut || (), &mut |vector, _, _, _| {
        assert_eq!(vector.dense().len(), dims);
        rows += 1;
    })?;
    assert!(rows <= vectors, "more rows than the segment has");
    Ok(())
}
