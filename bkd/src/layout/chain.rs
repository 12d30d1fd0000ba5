//! Chains: pages linked by `next`, to which inserts append.
//!
//! The delta chain holds raw vectors with their row addresses; a vector that is larger than a page continues on the
//! pages that follow in the chain. The lists of rows without a place in distance order hold addresses only, as in [`super::tids`].

use super::PAYLOAD;
use crate::Tid;

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
