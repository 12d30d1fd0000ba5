//! The row addresses of an index, a range of the table at a time, so that any index is checked in bounded memory.

use std::ops::Range;

use bkd::layout::chain::{list_items, DeltaReader};
use bkd::layout::{payload, tids, PageHeader, PageKind};
use bkd::{Body, PageRead, Tid};

use super::structure::Sound;
use crate::am::chain::{Part, Walk};
use crate::am::meta::delta_layout;
use crate::pg::buffer::SharedPage;
use crate::pg::interrupts::check_for_interrupts;

/// Where in the index a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Segment {
        /// Position among the segments that can be read.
        at: u16,
        ordinal: u32,
    },
    Delta {
        /// CRC-32 of the bytes of attributes and value.
        checksum: u32,
    },
    List(Part),
}

/// A row address and its place.
pub type Entry = (Tid, Place);

/// Parts into which the table is cut to count rows.
const BUCKETS: u64 = 4096;

/// The ranges of table blocks that have about `most` rows each.
pub fn ranges(sound: &Sound, most: usize) -> Vec<Range<u64>> {
    let mut end = 0;
    for_each(sound, &mut |tid, _| end = end.max(u64::from(tid.block) + 1));
    let width = end.div_ceil(BUCKETS).max(1);
    let mut counts = vec![0usize; end.div_ceil(width) as usize];
    for_each(sound, &mut |tid, _| {
        // Rows that came meanwhile may lie behind, in the last range.
        if let Some(count) = counts.get_mut((u64::from(tid.block) / width) as usize) {
            *count += 1;
        }
    });
    let (mut ranges, mut start, mut rows) = (Vec::new(), 0, 0);
    for (bucket, count) in (0u64..).zip(counts) {
        if rows > 0 && rows + count > most {
            ranges.push(start..bucket * width);
            (start, rows) = (bucket * width, 0);
        }
        rows += count;
    }
    // Rows of the table may lie behind all that the index knows.
    ranges.push(start..u64::from(u32::MAX) + 1);
    ranges
}

/// The entries of rows in a range of table blocks, in the order of their addresses.
pub fn within(sound: &Sound, range: &Range<u64>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for_each(sound, &mut |tid, place| {
        if range.contains(&u64::from(tid.block)) {
            entries.push((tid, place));
        }
    });
    entries.sort_unstable_by_key(|&(tid, place)| (tid.block, tid.offset, place));
    entries
}

/// Calls `each` for every entry that is not dead. What cannot be read was reported when the pages were checked.
fn for_each(sound: &Sound, each: &mut impl FnMut(Tid, Place)) {
    for (at, opened) in (0u16..).zip(&sound.segments) {
        let (segment, pages) = (&opened.segment, opened.pages(sound.index));
        let mut ordinal = 0;
        for sequence in segment.tid_pages() {
            check_for_interrupts();
            let on_page = segment.tids_on(sequence);
            if let Ok(page) = pages.page(PageKind::Tids, sequence) {
                for slot in 0..on_page {
                    let tid = tids::get(&page, slot);
                    if !tid.is_dead() {
                        each(tid, Place::Segment { at, ordinal: ordinal + slot as u32 });
                    }
                }
            }
            ordinal += on_page as u32;
        }
    }
    let meta = &sound.meta;
    for chain in [meta.sealing, meta.delta] {
        let mut reader = DeltaReader::new(delta_layout(meta));
        for_each_page(sound, PageKind::Delta, chain, |page, header| {
            // Only what can be decoded.
            let _ = reader.page(header, payload(page), |tid, keys, body| {
                each(tid, Place::Delta { checksum: checksum(keys, body) });
            });
        });
    }
    for part in [Part::Unbounded, Part::Nan, Part::Null] {
        for_each_page(sound, part.kind(), part.chain(meta), |page, header| {
            list_items(header, payload(page), |_, tid| {
                if !tid.is_dead() {
                    each(tid, Place::List(part));
                }
            });
        });
    }
}

fn for_each_page(
    sound: &Sound,
    kind: PageKind,
    chain: bkd::layout::meta::Chain,
    mut each: impl FnMut(&SharedPage, &PageHeader),
) {
    let walk = Walk::new(sound.index, kind);
    let mut block = chain.head;
    for sequence in 0..chain.pages {
        check_for_interrupts();
        let Ok((page, header)) = walk.read(block, chain.owner, sequence) else { return };
        each(&page, &header);
        block = header.next;
    }
}

/// What tells a row of the delta from others.
pub fn checksum(keys: &[u64], body: Body<'_>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    keys.iter().for_each(|key| hasher.update(&key.to_le_bytes()));
    match body {
        Body::Dense(vector) => vector.iter().for_each(|value| hasher.update(&value.to_le_bytes())),
        Body::Packed(bytes) => hasher.update(bytes),
    }
    hasher.finalize()
}
