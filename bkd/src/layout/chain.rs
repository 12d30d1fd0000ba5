//! Chains: pages linked by `next`, to which inserts append.
//!
//! The delta chain holds raw vectors with their row addresses and attributes, one after the other without regard to pages: what does not fit
//! on a page continues on the next, and every page but the last is full. The lists of rows without a place in distance order hold
//! addresses only, as in [`super::tids`].

use super::{tids, PageHeader, Payload, PAYLOAD};
use crate::{Error, Result, Tid};

/// How raw vectors lie in a delta chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLayout {
    dims: usize,
    columns: usize,
}

/// Bytes of a delta item before the keys of the row's attributes, which come before the vector: the row's address, padded so that
/// the others are aligned.
const DELTA_PREFIX: usize = 8;
/// Bytes of a key.
const KEY: usize = 8;

// Items are multiples of the prefix, and so are pages: a row address never lies on two pages.
const _: () = assert!(PAYLOAD.is_multiple_of(DELTA_PREFIX));

impl DeltaLayout {
    /// The layout for vectors of so many dimensions (1 to [`crate::MAX_DIMS`]) with so many attributes.
    pub fn new(dims: usize, columns: usize) -> Self {
        DeltaLayout { dims, columns }
    }

    /// Bytes of an item.
    pub fn item(&self) -> usize {
        (self.vector_start() + self.dims * 4).next_multiple_of(DELTA_PREFIX)
    }

    fn vector_start(&self) -> usize {
        DELTA_PREFIX + self.columns * KEY
    }

    /// Items on so many pages, at most.
    pub fn items(&self, pages: u32) -> u64 {
        u64::from(pages) * PAYLOAD as u64 / self.item() as u64
    }

    /// Where on a page the first item starts that starts there, if it were long enough.
    fn first(&self, sequence: u32) -> usize {
        let (start, item) = (u64::from(sequence) * PAYLOAD as u64, self.item() as u64);
        (start.next_multiple_of(item) - start) as usize
    }

    /// Writes an item, [`DeltaLayout::item`] bytes long.
    pub fn write(&self, item: &mut [u8], tid: Tid, keys: &[u64], vector: &[f32]) {
        assert_eq!((item.len(), vector.len(), keys.len()), (self.item(), self.dims, self.columns));
        item.fill(0);
        tid.write(item);
        for (bytes, key) in item[DELTA_PREFIX..].chunks_exact_mut(KEY).zip(keys) {
            bytes.copy_from_slice(&key.to_le_bytes());
        }
        for (bytes, value) in item[self.vector_start()..].chunks_exact_mut(4).zip(vector) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// The row address of an item.
    pub fn tid(&self, item: &[u8]) -> Tid {
        Tid::read(item)
    }

    /// Marks an item as removed.
    pub fn kill(&self, item: &mut [u8]) {
        Tid::DEAD.write(item);
    }

    /// Copies the keys of an item's attributes.
    pub fn keys(&self, item: &[u8], into: &mut [u64]) {
        for (key, bytes) in into.iter_mut().zip(item[DELTA_PREFIX..].chunks_exact(KEY)) {
            *key = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
    }

    /// Copies the vector of an item.
    pub fn vector(&self, item: &[u8], into: &mut [f32]) {
        for (value, bytes) in into.iter_mut().zip(item[self.vector_start()..].chunks_exact(4)) {
            *value = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
        }
    }
}

/// Calls `each` with the slots and row addresses of a page of a list, dead ones included.
pub fn list_items(header: &PageHeader, payload: &Payload, mut each: impl FnMut(usize, Tid)) {
    for slot in 0..(header.used as usize / Tid::SIZE).min(tids::PER_PAGE) {
        each(slot, tids::get(payload, slot));
    }
}

/// Calls `each` with the byte offset and row address of every item that starts on a page of a delta chain, dead ones
/// included.
pub fn delta_items(
    layout: &DeltaLayout,
    header: &PageHeader,
    payload: &Payload,
    mut each: impl FnMut(usize, Tid),
) {
    let used = (header.used as usize).min(PAYLOAD);
    for at in (layout.first(header.sequence)..used.saturating_sub(DELTA_PREFIX - 1)).step_by(layout.item()) {
        each(at, layout.tid(&payload[at..]));
    }
}

/// Reads the vectors of a delta chain, whose pages it is given in order.
pub struct DeltaReader {
    layout: DeltaLayout,
    keys: Vec<u64>,
    vector: Vec<f32>,
    /// The beginning of an item that goes on on the next page.
    begun: Vec<u8>,
}

impl DeltaReader {
    /// A reader of what is laid out like this.
    pub fn new(layout: DeltaLayout) -> Self {
        let (keys, vector) = (vec![0; layout.columns], vec![0.0; layout.dims]);
        DeltaReader { layout, keys, vector, begun: Vec::new() }
    }

    /// Calls `each` with the row address, the keys and the vector of every item that ends on this page and is not dead.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the item that goes on here did not begin as it must have.
    pub fn page(
        &mut self,
        header: &PageHeader,
        payload: &Payload,
        mut each: impl FnMut(Tid, &[u64], &[f32]),
    ) -> Result<()> {
        let (layout, item) = (self.layout, self.layout.item());
        let mut rest = &payload[..(header.used as usize).min(PAYLOAD)];
        let first = layout.first(header.sequence);
        let begun = (u64::from(header.sequence) * PAYLOAD as u64 % item as u64) as usize;
        if self.begun.len() != begun {
            return Err(Error::corrupt(format!(
                "a vector of the delta goes on after {begun} bytes, but {} came before",
                self.begun.len()
            )));
        }
        let mut take = |keys: &mut [u64], vector: &mut [f32], item: &[u8]| {
            let tid = layout.tid(item);
            if !tid.is_dead() {
                layout.keys(item, keys);
                layout.vector(item, vector);
                each(tid, keys, vector);
            }
        };
        if begun > 0 {
            let (end, after) = rest.split_at(first.min(rest.len()));
            self.begun.extend_from_slice(end);
            rest = after;
            if self.begun.len() < item {
                return Ok(());
            }
            take(&mut self.keys, &mut self.vector, &self.begun);
            self.begun.clear();
        }
        let mut items = rest.chunks_exact(item);
        items.by_ref().for_each(|item| take(&mut self.keys, &mut self.vector, item));
        self.begun.extend_from_slice(items.remainder());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_round_trip() {
        for (dims, columns) in [(1, 0), (2, 1), (64, 31), (2030, 0), (2031, 3), (16_000, 2)] {
            let layout = DeltaLayout::new(dims, columns);
            let keys: Vec<u64> = (0..columns as u64).map(|column| u64::MAX - column).collect();
            let vector: Vec<f32> = (0..dims).map(|i| i as f32 - 0.5).collect();
            let mut item = vec![0xffu8; layout.item()];
            layout.write(&mut item, Tid::new(7, 9), &keys, &vector);
            let (mut copy, mut copied_keys) = (vec![0.0; dims], vec![0; columns]);
            layout.vector(&item, &mut copy);
            layout.keys(&item, &mut copied_keys);
            assert_eq!((layout.tid(&item), copied_keys, &copy), (Tid::new(7, 9), keys, &vector));
            layout.kill(&mut item);
            assert!(layout.tid(&item).is_dead());
        }
    }

    /// The pages of a chain of so many items, as they are appended.
    fn pages(layout: &DeltaLayout, dims: usize, count: u32) -> Vec<(PageHeader, Payload)> {
        let mut bytes = vec![0; layout.item() * count as usize];
        for (number, item) in (0..).zip(bytes.chunks_exact_mut(layout.item())) {
            let keys = vec![u64::from(number); layout.columns];
            layout.write(item, Tid::new(number, 1), &keys, &vec![number as f32; dims]);
        }
        (0..)
            .zip(bytes.chunks(PAYLOAD))
            .map(|(sequence, part)| {
                let mut header = PageHeader::new(super::super::PageKind::Delta, 5, sequence);
                let mut payload = [0; PAYLOAD];
                payload[..part.len()].copy_from_slice(part);
                header.used = part.len() as u32;
                (header, payload)
            })
            .collect()
    }

    #[test]
    fn items_lie_across_pages() {
        let shapes = [
            (1, 0, 2000),
            (3, 2, 1500),
            (63, 31, 100),
            (768, 0, 30),
            (2030, 0, 9),
            (2030, 1, 9),
            (5000, 3, 7),
            (16_000, 0, 3),
        ];
        for (dims, columns, count) in shapes {
            let layout = DeltaLayout::new(dims, columns);
            let mut pages = pages(&layout, dims, count);
            assert!(layout.items(pages.len() as u32) >= u64::from(count));
            // Every third is removed where it starts.
            let mut starts = 0;
            for (header, payload) in &mut pages {
                let mut dead = Vec::new();
                delta_items(&layout, header, payload, |at, tid| {
                    assert_eq!(tid.block, starts);
                    starts += 1;
                    dead.extend((tid.block % 3 == 1).then_some(at));
                });
                dead.into_iter().for_each(|at| layout.kill(&mut payload[at..]));
            }
            assert_eq!(starts, count);
            let (mut reader, mut found) = (DeltaReader::new(layout), Vec::new());
            for (header, payload) in &pages {
                let each = |tid: Tid, keys: &[u64], vector: &[f32]| {
                    assert_eq!(keys, vec![u64::from(tid.block); columns]);
                    assert!(vector.iter().all(|&x| x == tid.block as f32));
                    found.push(tid.block);
                };
                reader.page(header, payload, each).unwrap();
            }
            assert_eq!(found, (0..count).filter(|number| number % 3 != 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_that_is_not_full_breaks_the_chain() {
        let mut pages = pages(&DeltaLayout::new(768, 0), 768, 10);
        pages[1].0.used -= 8;
        let mut reader = DeltaReader::new(DeltaLayout::new(768, 0));
        let results: Vec<_> =
            pages.iter().map(|(header, payload)| reader.page(header, payload, |_, _, _| ())).collect();
        assert!(results[..2].iter().all(Result::is_ok));
        assert!(results[2].is_err());
    }
}
