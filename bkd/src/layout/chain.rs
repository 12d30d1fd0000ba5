//! Chains: pages linked by `next`, to which inserts append.
//!
//! The delta chain holds raw vectors with their row addresses; a vector that is larger than a page continues on the
//! pages that follow in the chain. The lists of rows without a place in distance order hold addresses only, as in [`super::tids`].

use super::{tids, PageHeader, Payload, PAYLOAD};
use crate::{Error, Result, Tid};

/// How raw vectors lie in the pages of a delta chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLayout {
    dims: usize,
    /// Items that start on a page: one if an item fills a page or more.
    pub per_page: usize,
    /// Pages that an item takes: more than one only if it is larger than a page.
    pub pages_per_item: usize,
}

/// Bytes before the vector of a delta item: the row's address, padded so that the vector is aligned.
const DELTA_PREFIX: usize = 8;

impl DeltaLayout {
    /// The layout for vectors of so many dimensions (1 to [`crate::MAX_DIMS`]).
    pub fn new(dims: usize) -> Self {
        let item = DELTA_PREFIX + dims * 4;
        DeltaLayout { dims, per_page: (PAYLOAD / item).max(1), pages_per_item: item.div_ceil(PAYLOAD) }
    }

    /// Bytes of an item.
    pub fn item(&self) -> usize {
        DELTA_PREFIX + self.dims * 4
    }

    /// Writes an item, [`DeltaLayout::item`] bytes long.
    pub fn write(&self, item: &mut [u8], tid: Tid, vector: &[f32]) {
        assert_eq!((item.len(), vector.len()), (self.item(), self.dims));
        item[..DELTA_PREFIX].fill(0);
        tid.write(item);
        for (bytes, value) in item[DELTA_PREFIX..].chunks_exact_mut(4).zip(vector) {
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

    /// Copies the vector of an item.
    pub fn vector(&self, item: &[u8], into: &mut [f32]) {
        for (value, bytes) in into.iter_mut().zip(item[DELTA_PREFIX..self.item()].chunks_exact(4)) {
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
    if layout.pages_per_item > 1 {
        if (header.sequence as usize).is_multiple_of(layout.pages_per_item) {
            each(0, layout.tid(payload));
        }
        return;
    }
    for slot in 0..(header.used as usize / layout.item()).min(layout.per_page) {
        let at = slot * layout.item();
        each(at, layout.tid(&payload[at..]));
    }
}

/// Reads the vectors of a delta chain, whose pages it is given in order.
pub struct DeltaReader {
    layout: DeltaLayout,
    vector: Vec<f32>,
    /// The parts so far of an item that takes several pages.
    parts: Vec<u8>,
}

impl DeltaReader {
    /// A reader of vectors of so many dimensions.
    pub fn new(dims: usize) -> Self {
        DeltaReader { layout: DeltaLayout::new(dims), vector: vec![0.0; dims], parts: Vec::new() }
    }

    /// Calls `each` with the row address and the vector of every item that ends on this page and is not dead.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if an item that takes several pages has not the length that it must have.
    pub fn page(
        &mut self,
        header: &PageHeader,
        payload: &Payload,
        mut each: impl FnMut(Tid, &[f32]),
    ) -> Result<()> {
        let layout = self.layout;
        if layout.pages_per_item == 1 {
            delta_items(&layout, header, payload, |at, tid| {
                if !tid.is_dead() {
                    layout.vector(&payload[at..at + layout.item()], &mut self.vector);
                    each(tid, &self.vector);
                }
            });
            return Ok(());
        }
        let position = header.sequence as usize % layout.pages_per_item;
        if position == 0 {
            self.parts.clear();
        }
        self.parts.extend_from_slice(&payload[..(header.used as usize).min(PAYLOAD)]);
        if position + 1 < layout.pages_per_item {
            return Ok(());
        }
        if self.parts.len() != layout.item() {
            return Err(Error::corrupt(format!("a vector of the delta has {} bytes", self.parts.len())));
        }
        let tid = layout.tid(&self.parts);
        if !tid.is_dead() {
            layout.vector(&self.parts, &mut self.vector);
            each(tid, &self.vector);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_round_trip() {
        for dims in [1, 2, 64, 2030, 2031, 16_000] {
            let layout = DeltaLayout::new(dims);
            assert!(layout.per_page * layout.item() <= PAYLOAD || layout.per_page == 1);
            assert!(layout.pages_per_item * PAYLOAD >= layout.item());
            assert!(layout.per_page == 1 || layout.pages_per_item == 1);
            let vector: Vec<f32> = (0..dims).map(|i| i as f32 - 0.5).collect();
            let mut item = vec![0xffu8; layout.item()];
            layout.write(&mut item, Tid::new(7, 9), &vector);
            let mut copy = vec![0.0; dims];
            layout.vector(&item, &mut copy);
            assert_eq!((layout.tid(&item), &copy), (Tid::new(7, 9), &vector));
            layout.kill(&mut item);
            assert!(layout.tid(&item).is_dead());
        }
    }
}
