//! The metapage: what the index is made of. Replacing it is how everything else becomes visible or ceases to be.

use super::attributes::MAX_COLUMNS;
use super::{Payload, NO_BLOCK, PAYLOAD};
use crate::{Error, Result, Space};

/// A chain of pages to which inserts append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Owner of the chain's pages; 0 while the chain has none.
    pub owner: u64,
    /// First page, or [`NO_BLOCK`].
    pub head: u32,
    /// Last page, or [`NO_BLOCK`].
    pub tail: u32,
    /// Pages in the chain.
    pub pages: u32,
}

impl Chain {
    /// A chain without pages.
    pub const EMPTY: Chain = Chain { owner: 0, head: NO_BLOCK, tail: NO_BLOCK, pages: 0 };

    /// Whether the chain has no pages.
    pub fn is_empty(&self) -> bool {
        self.head == NO_BLOCK
    }

    fn names_metapage(&self) -> bool {
        self.head == META_BLOCK || self.tail == META_BLOCK
    }

    /// The chain as something that was replaced.
    pub fn retire(&self, xid: u64) -> Retired {
        let Chain { owner, head, pages, .. } = *self;
        Retired::Chain { owner, head, pages, xid }
    }
}

/// A sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Owner of the segment's pages.
    pub id: u64,
    /// First page of the encoded directory.
    pub directory: u32,
    /// Length of the encoded directory.
    pub directory_bytes: u32,
    /// Vectors, dead ones included.
    pub vectors: u32,
    /// Those of them that VACUUM has removed.
    pub dead: u32,
    /// Pages, directory included.
    pub pages: u32,
}

/// What was replaced, until no scan can still be reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// A segment: its directory says where its pages are.
    Segment {
        /// Owner of the pages.
        id: u64,
        /// First page of the encoded directory.
        directory: u32,
        /// Length of the encoded directory.
        directory_bytes: u32,
        /// See [`Retired::pages`].
        pages: u32,
        /// See [`Retired::xid`].
        xid: u64,
    },
    /// A chain.
    Chain {
        /// Owner of the pages.
        owner: u64,
        /// First page.
        head: u32,
        /// See [`Retired::pages`].
        pages: u32,
        /// See [`Retired::xid`].
        xid: u64,
    },
}

impl Retired {
    /// The transaction id after which nobody reads the pages any more.
    pub fn xid(&self) -> u64 {
        match *self {
            Retired::Segment { xid, .. } | Retired::Chain { xid, .. } => xid,
        }
    }

    /// How many pages it has.
    pub fn pages(&self) -> u32 {
        match *self {
            Retired::Segment { pages, .. } | Retired::Chain { pages, .. } => pages,
        }
    }

    /// Owner of the pages.
    pub fn owner(&self) -> u64 {
        match *self {
            Retired::Segment { id, .. } => id,
            Retired::Chain { owner, .. } => owner,
        }
    }
}

impl SegmentEntry {
    /// Vectors that are not dead.
    pub fn live(&self) -> u32 {
        self.vectors.saturating_sub(self.dead)
    }

    /// The segment as something that was replaced.
    pub fn retire(&self, xid: u64) -> Retired {
        let SegmentEntry { id, directory, directory_bytes, pages, .. } = *self;
        Retired::Segment { id, directory, directory_bytes, pages, xid }
    }
}

/// The two kinds of work that make new segments. Each goes on once at a time, and both may at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Turning the delta into segments.
    Seal = 0,
    /// Replacing segments and lists.
    Merge = 1,
}

/// Consecutive owner numbers that were set aside for something that is being written. As long as they are noted here, pages
/// of these owners are not recycled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// The first of them.
    pub first: u64,
    /// How many there are.
    pub count: u32,
    /// How many entries the work will add to [`Meta::retired`].
    pub retiring: u32,
}

impl Reserved {
    /// The numbers.
    pub fn owners(&self) -> std::ops::Range<u64> {
        self.first..self.first.saturating_add(u64::from(self.count))
    }
}

/// Contents of the metapage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What the index is of.
    pub space: Space,
    /// The type of the indexed values. That is the access method's business: the engine sees their form.
    pub input: u32,
    /// Dimensions of the indexed vectors, or bits; 0 until they are known.
    pub dims: u32,
    /// Attribute columns.
    pub columns: u32,
    /// The next owner number to be given out. Starts at [`Meta::FIRST_OWNER`].
    pub next_owner: u64,
    /// Owners of what is being written, by [`Work`]. An error or a crash leaves them behind; the next work of the kind takes
    /// new ones.
    pub reserved: [Reserved; 2],
    /// Where inserts go.
    pub delta: Chain,
    /// A former delta chain that is being turned into a segment.
    pub sealing: Chain,
    /// List of the rows of [`crate::Placement::Unbounded`].
    pub unbounded: Chain,
    /// List of the rows of [`crate::Placement::Nan`].
    pub nan: Chain,
    /// List of the rows whose vector is NULL.
    pub null: Chain,
    /// Ordered by age, oldest first.
    pub segments: Vec<SegmentEntry>,
    /// What was replaced and not yet freed.
    pub retired: Vec<Retired>,
}

/// What an insert wants to know of the metapage, quick to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// See [`Meta::space`].
    pub space: Space,
    /// See [`Meta::input`].
    pub input: u32,
    /// See [`Meta::dims`].
    pub dims: u32,
    /// See [`Meta::columns`].
    pub columns: u32,
    /// See [`Meta::delta`].
    pub delta: Chain,
    /// See [`Meta::unbounded`].
    pub unbounded: Chain,
    /// See [`Meta::nan`].
    pub nan: Chain,
    /// See [`Meta::null`].
    pub null: Chain,
    /// How many entries [`Meta::retired`] has.
    pub retired: u32,
}

/// Where the metapage lies.
pub const META_BLOCK: u32 = 0;
/// Owner of the metapage itself.
pub const META_OWNER: u64 = 1;
const SEGMENT_BYTES: usize = 28;
const RETIRED_BYTES: usize = 28;
const CHAIN_BYTES: usize = 20;
const RESERVED_BYTES: usize = 16;
const FIXED_BYTES: usize = 32 + 2 * RESERVED_BYTES + 5 * CHAIN_BYTES;

impl Meta {
    /// The first owner number that is given out.
    pub const FIRST_OWNER: u64 = META_OWNER + 1;
    /// Segments that fit.
    pub const MAX_SEGMENTS: usize = 160;
    /// Retired segments and chains that fit. Nothing more is replaced until some of them have been freed.
    pub const MAX_RETIRED: usize = 120;

    /// The metapage of an empty index.
    pub fn new(space: Space, input: u32, dims: u32, columns: u32) -> Self {
        Meta {
            space,
            input,
            dims,
            columns,
            next_owner: Self::FIRST_OWNER,
            reserved: Default::default(),
            delta: Chain::EMPTY,
            sealing: Chain::EMPTY,
            unbounded: Chain::EMPTY,
            nan: Chain::EMPTY,
            null: Chain::EMPTY,
            segments: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// Takes a new owner number.
    pub fn take_owner(&mut self) -> u64 {
        let owner = self.next_owner;
        self.next_owner += 1;
        owner
    }

    /// Takes new owner numbers and notes that something is being written under them, which will replace `retiring` others.
    pub fn reserve(&mut self, work: Work, count: u32, retiring: u32) -> Reserved {
        let reserved = Reserved { first: self.next_owner, count, retiring };
        self.next_owner += u64::from(count);
        self.reserved[work as usize] = reserved;
        reserved
    }

    /// Forgets what was reserved: it is part of the index now, or was given up.
    pub fn release(&mut self, work: Work) {
        self.reserved[work as usize] = Reserved::default();
    }

    /// How many entries this work can retire, whatever the other kind of work does meanwhile.
    pub fn room_to_retire(&self, work: Work) -> usize {
        let other = self.reserved[1 - work as usize].retiring as usize;
        Self::MAX_RETIRED.saturating_sub(self.retired.len() + other)
    }

    /// How many segments this work can make in the place of `replaced` others, whatever the other kind does meanwhile.
    pub fn room_for_segments(&self, work: Work, replaced: usize) -> usize {
        let other = self.reserved[1 - work as usize];
        let coming = match work {
            Work::Merge => other.count,
            Work::Seal => other.count.saturating_sub(other.retiring),
        };
        (Self::MAX_SEGMENTS + replaced).saturating_sub(self.segments.len() + coming as usize)
    }

    /// The chains of the index.
    pub fn chains(&self) -> [Chain; 5] {
        [self.delta, self.sealing, self.unbounded, self.nan, self.null]
    }

    /// Writes the contents; returns the bytes used.
    pub fn write(&self, payload: &mut Payload) -> usize {
        assert!(self.segments.len() <= Self::MAX_SEGMENTS && self.retired.len() <= Self::MAX_RETIRED);
        payload.fill(0);
        let mut out = Writer { payload, at: 0 };
        out.u32(self.space.code().into());
        out.u32(self.input);
        out.u32(self.dims);
        out.u32(self.columns);
        out.u64(self.next_owner);
        out.u32(self.segments.len() as u32);
        out.u32(self.retired.len() as u32);
        for reserved in self.reserved {
            out.u64(reserved.first);
            out.u32(reserved.count);
            out.u32(reserved.retiring);
        }
        for chain in self.chains() {
            out.u64(chain.owner);
            out.u32(chain.head);
            out.u32(chain.tail);
            out.u32(chain.pages);
        }
        for segment in &self.segments {
            out.u64(segment.id);
            for value in
                [segment.directory, segment.directory_bytes, segment.vectors, segment.dead, segment.pages]
            {
                out.u32(value);
            }
        }
        for retired in &self.retired {
            // A directory is never empty, so a length of zero says that this was a chain.
            let (block, bytes) = match *retired {
                Retired::Segment { directory, directory_bytes, .. } => (directory, directory_bytes),
                Retired::Chain { head, .. } => (head, 0),
            };
            out.u64(retired.owner());
            out.u64(retired.xid());
            out.u32(block);
            out.u32(bytes);
            out.u32(retired.pages());
        }
        out.at
    }

    /// Reads and validates the contents.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if counts or codes are impossible.
    pub fn read(payload: &Payload) -> Result<Self> {
        let mut input = Reader { payload, at: 0 };
        let Fixed {
            space,
            input: input_type,
            dims,
            columns,
            next_owner,
            segments,
            retired,
            reserved,
            chains,
        } = Fixed::read(&mut input)?;
        let [delta, sealing, unbounded, nan, null] = chains;
        let segments = (0..segments)
            .map(|_| SegmentEntry {
                id: input.u64(),
                directory: input.u32(),
                directory_bytes: input.u32(),
                vectors: input.u32(),
                dead: input.u32(),
                pages: input.u32(),
            })
            .collect();
        let retired = (0..retired)
            .map(|_| {
                let (owner, xid, block, bytes, pages) =
                    (input.u64(), input.u64(), input.u32(), input.u32(), input.u32());
                match bytes {
                    0 => Retired::Chain { owner, head: block, pages, xid },
                    _ => Retired::Segment { id: owner, directory: block, directory_bytes: bytes, pages, xid },
                }
            })
            .collect();
        let meta = Meta {
            space,
            input: input_type,
            dims,
            columns,
            next_owner,
            reserved,
            delta,
            sealing,
            unbounded,
            nan,
            null,
            segments,
            retired,
        };
        meta.check_blocks()?;
        Ok(meta)
    }

    /// Reads what an insert wants to know.
    ///
    /// # Errors
    /// As [`Meta::read`].
    pub fn read_head(payload: &Payload) -> Result<Head> {
        let Fixed { space, input, dims, columns, retired, chains, .. } =
            Fixed::read(&mut Reader { payload, at: 0 })?;
        let [delta, _, unbounded, nan, null] = chains;
        if chains.iter().any(Chain::names_metapage) {
            return Err(Error::corrupt(NAMES_ITSELF));
        }
        Ok(Head { space, input, dims, columns, delta, unbounded, nan, null, retired: retired as u32 })
    }

    /// Whoever holds the lock on the metapage must not be led to lock it again.
    fn check_blocks(&self) -> Result<()> {
        let retired = self.retired.iter().map(|retired| match *retired {
            Retired::Segment { directory, .. } => directory,
            Retired::Chain { head, .. } => head,
        });
        let mut blocks = self.segments.iter().map(|segment| segment.directory).chain(retired);
        if self.chains().iter().any(Chain::names_metapage) || blocks.any(|block| block == META_BLOCK) {
            return Err(Error::corrupt(NAMES_ITSELF));
        }
        Ok(())
    }
}

const NAMES_ITSELF: &str = "metapage names itself as a part of the index";

/// The part of the contents that has always the same length.
struct Fixed {
    space: Space,
    input: u32,
    dims: u32,
    columns: u32,
    next_owner: u64,
    segments: usize,
    retired: usize,
    reserved: [Reserved; 2],
    chains: [Chain; 5],
}

impl Fixed {
    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let space = u8::try_from(input.u32())
            .ok()
            .and_then(Space::from_code)
            .ok_or_else(|| Error::corrupt("metapage names an unknown metric"))?;
        let (input_type, dims, columns) = (input.u32(), input.u32(), input.u32());
        let next_owner = input.u64();
        let (segments, retired) = (input.u32() as usize, input.u32() as usize);
        if dims as usize > space.max_dims()
            || columns as usize > MAX_COLUMNS
            || segments > Meta::MAX_SEGMENTS
            || retired > Meta::MAX_RETIRED
        {
            return Err(Error::corrupt("metapage contradicts itself"));
        }
        let mut reserve = || Reserved { first: input.u64(), count: input.u32(), retiring: input.u32() };
        let reserved = [reserve(), reserve()];
        let mut chain =
            || Chain { owner: input.u64(), head: input.u32(), tail: input.u32(), pages: input.u32() };
        let chains = [chain(), chain(), chain(), chain(), chain()];
        Ok(Fixed { space, input: input_type, dims, columns, next_owner, segments, retired, reserved, chains })
    }
}

const _: () =
    assert!(FIXED_BYTES + Meta::MAX_SEGMENTS * SEGMENT_BYTES + Meta::MAX_RETIRED * RETIRED_BYTES <= PAYLOAD);

struct Writer<'a> {
    payload: &'a mut Payload,
    at: usize,
}

impl Writer<'_> {
    fn u32(&mut self, value: u32) {
        self.payload[self.at..self.at + 4].copy_from_slice(&value.to_le_bytes());
        self.at += 4;
    }

    fn u64(&mut self, value: u64) {
        self.payload[self.at..self.at + 8].copy_from_slice(&value.to_le_bytes());
        self.at += 8;
    }
}

struct Reader<'a> {
    payload: &'a Payload,
    at: usize,
}

impl Reader<'_> {
    fn u32(&mut self) -> u32 {
        let bytes = self.payload[self.at..self.at + 4].try_into().expect("four bytes");
        self.at += 4;
        u32::from_le_bytes(bytes)
    }

    fn u64(&mut self) -> u64 {
        let bytes = self.payload[self.at..self.at + 8].try_into().expect("eight bytes");
        self.at += 8;
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;

    #[test]
    fn the_two_kinds_of_work_leave_each_other_room() {
        let mut meta = Meta::new(Space::Dense(Metric::L2), 0, 3, 0);
        let entry = SegmentEntry { id: 2, directory: 1, directory_bytes: 9, vectors: 5, dead: 0, pages: 4 };
        meta.segments = vec![entry; Meta::MAX_SEGMENTS - 3];
        assert_eq!(meta.room_for_segments(Work::Seal, 0), 3);
        assert_eq!(meta.room_for_segments(Work::Merge, 2), 5);
        meta.reserve(Work::Merge, 5, 4);
        assert_eq!(meta.room_for_segments(Work::Seal, 0), 2);
        assert_eq!(meta.room_to_retire(Work::Seal), Meta::MAX_RETIRED - 4);
        meta.release(Work::Merge);
        meta.reserve(Work::Seal, 2, 1);
        assert_eq!(meta.room_for_segments(Work::Merge, 2), 3);
        assert_eq!(meta.room_to_retire(Work::Merge), Meta::MAX_RETIRED - 1);
    }

    #[test]
    fn round_trips_when_full() {
        let mut meta = Meta::new(Space::Dense(Metric::Cosine), 7, 1280, 31);
        meta.delta = Chain { owner: meta.take_owner(), head: 1, tail: 9, pages: 9 };
        meta.null = Chain { owner: meta.take_owner(), head: 10, tail: 10, pages: 1 };
        for i in 0..Meta::MAX_SEGMENTS as u32 {
            let id = meta.take_owner();
            meta.segments.push(SegmentEntry {
                id,
                directory: i + 1,
                directory_bytes: 5,
                vectors: 100,
                dead: i,
                pages: 7,
            });
        }
        while meta.room_to_retire(Work::Seal) > 1 {
            meta.retired.push(meta.segments[0].retire(1 << 40));
            meta.retired.push(meta.null.retire(77));
        }
        let mut payload = [0u8; PAYLOAD];
        meta.reserve(Work::Merge, 3, 8);
        assert_eq!(meta.reserve(Work::Seal, 1, 1).owners(), meta.next_owner - 1..meta.next_owner);
        let used = meta.write(&mut payload);
        assert!(used <= PAYLOAD);
        let head = Meta::read_head(&payload).unwrap();
        assert_eq!((head.space, head.input, head.dims, head.columns), (meta.space, 7, 1280, 31));
        assert_eq!((head.delta, head.null), (meta.delta, meta.null));
        assert_eq!(head.retired as usize, meta.retired.len());
        assert_eq!(Meta::read(&payload), Ok(meta));
        payload[0] = 9;
        assert!(Meta::read(&payload).is_err() && Meta::read_head(&payload).is_err());
    }
}
