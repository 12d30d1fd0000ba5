//! Every byte on disk, in one place.
//!
//! A page is a Postgres page: 24 bytes of Postgres' own header, then 40 bytes of ours ([`PageHeader`]), then
//! [`PAYLOAD`] bytes that belong to one of the page kinds below. The payload starts on a cache line and is a multiple
//! of 64 bytes long, so that 64-byte chunks of codes never cross a page. Behind the bytes in use a page is zeros.
//!
//! Every page has two checksums ([`set_checksum`]), also where Postgres itself writes none: bounds are computed from these
//! bytes, and a bit that changed on disk must not change an answer. One is of the payload, one of the header that has the first: so who
//! appends to a page extends the one and computes the other, and need not look at all that is there already.
//!
//! Numbers are little-endian; the engine is compiled for little-endian machines only.

pub mod attributes;
pub mod blob;
pub mod chain;
pub mod leaf;
pub mod meta;
pub mod packed;
pub mod records;
pub mod tids;

use std::ops::Range;

use crate::{Error, Result};

/// Bytes of a page: Postgres' default block size.
pub const PAGE_SIZE: usize = 8192;
/// Where our page header starts: after Postgres' `PageHeaderData`.
pub const HEADER_OFFSET: usize = 24;
/// Where the payload starts.
pub const PAYLOAD_OFFSET: usize = 64;
/// Bytes of payload in a page.
pub const PAYLOAD: usize = PAGE_SIZE - PAYLOAD_OFFSET;
/// Bytes of a chunk, the unit of the coarse stream: one cache line, one AVX-512 register.
pub const CHUNK: usize = 64;
/// Chunks in a page.
pub const CHUNKS_PER_PAGE: usize = PAYLOAD / CHUNK;
/// Version of everything in this module.
pub const FORMAT_VERSION: u16 = 8;
/// "No block": Postgres' `InvalidBlockNumber`.
pub const NO_BLOCK: u32 = u32::MAX;

const MAGIC: u32 = u32::from_le_bytes(*b"kdtr");

/// What stands there in the metapages of pgvector's access methods. We serve indexes of these names, and may meet one that pgvector built.
const FOREIGN: [(u32, &str); 2] = [(0xa953_a953, "hnsw"), (0x014f_f1a7, "ivfflat")];

/// Where the header's checksum lies. It has been there since version 2 and stays there, so that an unknown version and a
/// damaged version number can be told apart.
const HEADER_CHECKSUM: Range<usize> = PAYLOAD_OFFSET - 4..PAYLOAD_OFFSET;
/// What it covers: both headers, but for what Postgres changes by itself at the start of a page, its position in the log and
/// its own checksum.
const HEADER_COVERED: Range<usize> = 10..HEADER_CHECKSUM.start;

const _: () = assert!(PAYLOAD.is_multiple_of(CHUNK));
#[cfg(target_endian = "big")]
compile_error!("the on-disk format is little-endian");

/// Where a page in memory can have a [`note`]. On disk these bytes are zeros. They lie in front of the header's checksum, which
/// covers them, so that one write of eight bytes changes both, and who reads them at once sees a sound page before and after.
pub const NOTE_OFFSET: usize = HEADER_CHECKSUM.start - 4;

/// A page's payload.
pub type Payload = [u8; PAYLOAD];

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageKind {
    /// Block 0: [`meta::Meta`].
    Meta = 1,
    /// The coarse stream of a segment: leaf headers, grids and coarse codes ([`leaf`]); or packed values ([`packed`]).
    Leaf = 2,
    /// Fine records of a segment ([`records`]).
    Fine = 3,
    /// Row addresses of a segment ([`tids`]).
    Tids = 4,
    /// The encoded directory of a segment ([`blob`]).
    Directory = 5,
    /// Values that are not yet in a segment ([`chain::DeltaLayout`]).
    Delta = 6,
    /// Rows without a place in distance order ([`tids`]).
    TidList = 7,
    /// What the rows of a segment can be filtered by ([`mod@attributes`]).
    Attributes = 8,
    /// Whole codes of a segment whose other codes are those of sketches ([`records`]).
    Whole = 9,
}

impl PageKind {
    fn from_byte(byte: u8) -> Option<Self> {
        use PageKind::*;
        [Meta, Leaf, Fine, Tids, Directory, Delta, TidList, Attributes, Whole]
            .into_iter()
            .find(|&kind| kind as u8 == byte)
    }
}

/// The header that every page carries behind Postgres' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    /// What the page holds.
    pub kind: PageKind,
    /// Closed to appends: set on the last page of a chain when the chain is cut off to be sealed.
    pub closed: bool,
    /// The segment or chain that the page belongs to. Never reused within an index, so a reader that follows a stale
    /// pointer to a recycled page notices.
    pub owner: u64,
    /// Position of the page in its segment or chain.
    pub sequence: u32,
    /// The block that follows in a chain, or [`NO_BLOCK`].
    pub next: u32,
    /// Payload bytes in use.
    pub used: u32,
    /// Their checksum.
    pub checksum: u32,
}

impl PageHeader {
    /// The header of an empty page that no other follows yet.
    pub fn new(kind: PageKind, owner: u64, sequence: u32) -> Self {
        PageHeader { kind, closed: false, owner, sequence, next: NO_BLOCK, used: 0, checksum: 0 }
    }

    /// Writes the header into a page, without a checksum of itself.
    pub fn write(&self, page: &mut [u8; PAGE_SIZE]) {
        let header = &mut page[HEADER_OFFSET..PAYLOAD_OFFSET];
        header.fill(0);
        header[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        header[6] = self.kind as u8;
        header[7] = self.closed as u8;
        header[8..16].copy_from_slice(&self.owner.to_le_bytes());
        header[16..20].copy_from_slice(&self.sequence.to_le_bytes());
        header[20..24].copy_from_slice(&self.next.to_le_bytes());
        header[24..28].copy_from_slice(&self.used.to_le_bytes());
        header[28..32].copy_from_slice(&self.checksum.to_le_bytes());
    }

    /// Reads the header of a page and validates the page.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the page is not one of ours, a checksum is wrong, or the header contradicts itself;
    /// [`Error::Version`] if it is of another format version, [`Error::Foreign`] if it is pgvector's.
    pub fn read(page: &[u8; PAGE_SIZE]) -> Result<Self> {
        let header = Self::read_alone(page)?;
        if header.checksum != crc32fast::hash(&payload(page)[..header.used as usize]) {
            return Err(Error::corrupt("page has a wrong checksum"));
        }
        Ok(header)
    }

    /// The same without a look at the payload: for who appends to it.
    ///
    /// # Errors
    /// As [`PageHeader::read`].
    pub fn read_alone(page: &[u8; PAGE_SIZE]) -> Result<Self> {
        let header = &page[HEADER_OFFSET..PAYLOAD_OFFSET];
        let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        if u32_at(0) != MAGIC {
            return Err(match FOREIGN.iter().find(|(magic, _)| *magic == u32_at(0)) {
                Some((_, name)) => Error::Foreign(name),
                None => Error::corrupt("page is not a kdtree page"),
            });
        }
        let version = u16::from_le_bytes([header[4], header[5]]);
        let noted = noted_now(page);
        let is_checksum_right = noted == noted_as(page, noted as u32);
        let is_other = is_checksum_right || version < FIRST_WITH_CHECKSUM && !is_version_damaged(page);
        if version != FORMAT_VERSION && is_other {
            return Err(Error::Version(version));
        }
        if !is_checksum_right {
            return Err(Error::corrupt("page header has a wrong checksum"));
        }
        Self::read_trusted(page)
    }

    /// The same without a look at any checksum: for a page that was read and validated before, and only changed in memory since.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the header contradicts itself.
    pub fn read_trusted(page: &[u8; PAGE_SIZE]) -> Result<Self> {
        let header = &page[HEADER_OFFSET..PAYLOAD_OFFSET];
        let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let Some(kind) = PageKind::from_byte(header[6]) else {
            return Err(Error::corrupt(format!("page has unknown kind {}", header[6])));
        };
        let used = u32_at(24);
        if header[7] > 1 || used as usize > PAYLOAD {
            return Err(Error::corrupt("page header contradicts itself"));
        }
        Ok(PageHeader {
            kind,
            closed: header[7] == 1,
            owner: u64::from_le_bytes(header[8..16].try_into().expect("eight bytes")),
            sequence: u32_at(16),
            next: u32_at(20),
            used,
            checksum: u32_at(28),
        })
    }

    /// Notes that these bytes were put behind the payload in use.
    pub fn appended(&mut self, bytes: &[u8]) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.checksum);
        hasher.update(bytes);
        self.checksum = hasher.finalize();
        self.used += bytes.len() as u32;
    }

    /// Whether a page is the one which a pointer promised: quick, for pages that mostly are. What is wrong with the others,
    /// [`PageHeader::read`] and [`PageHeader::expect`] say.
    #[inline]
    pub fn matches(page: &[u8; PAGE_SIZE], kind: PageKind, owner: u64, sequence: u32) -> bool {
        let header = &page[HEADER_OFFSET..PAYLOAD_OFFSET];
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let first = u64::from(MAGIC) | u64::from(FORMAT_VERSION) << 32 | (kind as u64) << 48;
        (word(0), word(8), word(16) as u32) == (first, owner, sequence)
    }

    /// Checks that this is the page which a pointer promised.
    ///
    /// # Errors
    /// [`Error::Recycled`], saying what differs.
    #[inline]
    pub fn expect(&self, kind: PageKind, owner: u64, sequence: u32) -> Result<()> {
        if self.kind == kind && self.owner == owner && self.sequence == sequence {
            return Ok(());
        }
        Err(Error::Recycled(format!(
            "expected {kind:?} page {sequence} of {owner}, found {:?} page {} of {}",
            self.kind, self.sequence, self.owner
        )))
    }
}

/// Whether a page is one of ours but for its version number, which is one of those that had no checksum.
fn is_version_damaged(page: &[u8; PAGE_SIZE]) -> bool {
    let mut mended = *page;
    mended[HEADER_OFFSET + 4..][..2].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    mended[HEADER_CHECKSUM] == header_checksum(&mended).to_le_bytes()
}

/// The first format version whose pages have a checksum.
const FIRST_WITH_CHECKSUM: u16 = 2;

/// Computes the checksums of a page (CRC-32: any damage to up to 32 neighbouring bits changes it) and writes them into the
/// header: the last thing to be done to a page that was changed.
pub fn set_checksum(page: &mut [u8; PAGE_SIZE]) {
    let used = u32::from_le_bytes(page[HEADER_OFFSET + 24..][..4].try_into().expect("four bytes"));
    let checksum = crc32fast::hash(&payload(page)[..(used as usize).min(PAYLOAD)]);
    page[HEADER_OFFSET + 28..][..4].copy_from_slice(&checksum.to_le_bytes());
    set_header_checksum(page);
}

/// The same if the header knows the payload's checksum.
pub fn set_header_checksum(page: &mut [u8; PAGE_SIZE]) {
    let checksum = header_checksum(page);
    page[HEADER_CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

fn header_checksum(page: &[u8; PAGE_SIZE]) -> u32 {
    (noted_as(page, note(page)) >> 32) as u32
}

/// What somebody noted on a page in memory; 0 if nobody did.
#[inline]
pub fn note(page: &[u8; PAGE_SIZE]) -> u32 {
    noted_now(page) as u32
}

/// The note and the header's checksum, read at once: another process may be writing a note.
#[inline]
fn noted_now(page: &[u8; PAGE_SIZE]) -> u64 {
    u64::from_le_bytes(page[NOTE_OFFSET..PAYLOAD_OFFSET].try_into().expect("eight bytes"))
}

/// What the eight bytes at [`NOTE_OFFSET`] are, as a number, on a page with this header and note: the note and the header's checksum.
pub fn noted_as(page: &[u8; PAGE_SIZE], note: u32) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&page[HEADER_COVERED.start..NOTE_OFFSET]);
    hasher.update(&note.to_le_bytes());
    u64::from(note) | u64::from(hasher.finalize()) << 32
}

/// Whether a page is zeros behind the payload in use, as it was written. Nobody reads these bytes.
pub fn is_rest_zero(page: &[u8; PAGE_SIZE], header: &PageHeader) -> bool {
    page[PAYLOAD_OFFSET + header.used as usize..].iter().all(|&byte| byte == 0)
}

/// The payload of a page.
#[inline]
pub fn payload(page: &[u8; PAGE_SIZE]) -> &Payload {
    page[PAYLOAD_OFFSET..].try_into().expect("the payload's length is a constant")
}

/// The payload of a page, to be written.
#[inline]
pub fn payload_mut(page: &mut [u8; PAGE_SIZE]) -> &mut Payload {
    (&mut page[PAYLOAD_OFFSET..]).try_into().expect("the payload's length is a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_and_notices_damage() {
        let mut page = [0u8; PAGE_SIZE];
        let mut header = PageHeader { closed: true, next: 17, ..PageHeader::new(PageKind::Delta, 42, 3) };
        header.appended(&[0; 5000]);
        header.appended(&[0; PAYLOAD - 5000]);
        header.write(&mut page);
        set_header_checksum(&mut page);
        assert_eq!(PageHeader::read(&page), Ok(header));
        assert_eq!(header.expect(PageKind::Delta, 42, 3), Ok(()));
        for (kind, owner, sequence) in
            [(PageKind::Fine, 42, 3), (PageKind::Delta, 41, 3), (PageKind::Delta, 42, 2)]
        {
            assert!(header.expect(kind, owner, sequence).is_err());
            assert!(!PageHeader::matches(&page, kind, owner, sequence));
        }
        let open = PageHeader { closed: false, ..header };
        open.write(&mut page);
        assert!(PageHeader::matches(&page, PageKind::Delta, 42, 3));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let mut page = [0u8; PAGE_SIZE];
        page[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 300].fill(0x5a);
        PageHeader { used: 300, ..PageHeader::new(PageKind::Delta, 42, 3) }.write(&mut page);
        set_checksum(&mut page);
        let header = PageHeader::read(&page).unwrap();
        for at in HEADER_COVERED.start..PAYLOAD_OFFSET + 300 {
            for change in [1, 0x80, 0xff] {
                let mut damaged = page;
                damaged[at] ^= change;
                assert!(matches!(PageHeader::read(&damaged), Err(Error::Corrupt(_))), "byte {at}");
            }
        }
        assert!(is_rest_zero(&page, &header));
        page[PAGE_SIZE - 1] = 1;
        assert!(!is_rest_zero(&page, &header));
        assert_eq!(PageHeader::read(&page), Ok(header));
        assert!(PageHeader::read(&[0; PAGE_SIZE]).is_err());
    }

    #[test]
    fn a_note_leaves_the_page_sound() {
        let mut page = [0u8; PAGE_SIZE];
        page[PAYLOAD_OFFSET..].fill(0x5a);
        let header = PageHeader { used: PAYLOAD as u32, ..PageHeader::new(PageKind::Fine, 42, 3) };
        header.write(&mut page);
        set_checksum(&mut page);
        let (written, header) = (page, PageHeader::read(&page).unwrap());
        assert_eq!(note(&page), 0);
        let noted = noted_as(&page, 0xdead_beef);
        page[NOTE_OFFSET..PAYLOAD_OFFSET].copy_from_slice(&noted.to_le_bytes());
        assert_eq!((note(&page), PageHeader::read(&page)), (0xdead_beef, Ok(header)));
        // Who changes the page forgets it.
        header.write(&mut page);
        set_header_checksum(&mut page);
        assert_eq!(page, written);
    }

    #[test]
    fn pages_of_pgvector_are_told_from_damage() {
        for (magic, name) in FOREIGN {
            let mut page = [0u8; PAGE_SIZE];
            page[HEADER_OFFSET..][..4].copy_from_slice(&magic.to_le_bytes());
            assert_eq!(PageHeader::read(&page), Err(Error::Foreign(name)));
        }
    }

    #[test]
    fn other_versions_are_told_from_damage() {
        let mut page = [0u8; PAGE_SIZE];
        PageHeader::new(PageKind::Meta, 1, 0).write(&mut page);
        for (version, checksum) in [
            (1, false),
            (2, true),
            (3, true),
            (4, true),
            (5, true),
            (6, true),
            (7, true),
            (9, true),
            (700, true),
        ] {
            page[HEADER_OFFSET + 4..][..2].copy_from_slice(&u16::to_le_bytes(version));
            if checksum {
                set_checksum(&mut page);
            }
            assert_eq!(PageHeader::read(&page), Err(Error::Version(version)));
        }
        page[HEADER_OFFSET + 4] ^= 8;
        assert!(matches!(PageHeader::read(&page), Err(Error::Corrupt(_))));
        PageHeader::new(PageKind::Meta, 1, 0).write(&mut page);
        set_checksum(&mut page);
        for version in [0, 1, 2, 10] {
            page[HEADER_OFFSET + 4] = version;
            assert!(matches!(PageHeader::read(&page), Err(Error::Corrupt(_))), "{version}");
        }
    }
}
