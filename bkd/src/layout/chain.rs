//! Chains: pages linked by `next`, to which inserts append.
//!
//! The delta chain holds values with their row addresses and attributes, one after the other. Vectors lie without regard to pages: what does
//! not fit on a page continues on the next, and every page but the last is full. [Packed values](super::packed), each of its own
//! length, lie on one page each. The lists of rows without a place in distance order hold addresses only, as in [`super::tids`].

use super::packed::{PackedLayout, WORD};
use super::{tids, PageHeader, Payload, PAYLOAD};
use crate::{Body, Error, Packing, Result, Space, Tid};

/// How values lie in a delta chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLayout {
    space: Space,
    dims: usize,
    columns: usize,
}

/// Bytes of a delta item before the keys of the row's attributes, which come before the value: the row's address, and the length of a
/// packed value or padding.
const DELTA_PREFIX: usize = 8;
/// Where the length of a packed value is.
const LENGTH: usize = Tid::SIZE;
/// Bytes of a key.
const KEY: usize = 8;

// Items are multiples of the prefix, and so are pages: a row address never lies on two pages.
const _: () = assert!(PAYLOAD.is_multiple_of(DELTA_PREFIX) && WORD.is_multiple_of(DELTA_PREFIX));

impl DeltaLayout {
    /// The layout for values of so many dimensions (from 1 on) with so many attributes.
    pub fn new(space: Space, dims: usize, columns: usize) -> Self {
        DeltaLayout { space, dims, columns }
    }

    /// How many bytes the largest packed value has that fits, if values are packed.
    pub fn largest_body(&self) -> Option<usize> {
        match self.space {
            Space::Dense(_) => None,
            Space::Packed(_) => Some(PAYLOAD - self.body_start()),
        }
    }

    /// Whether an item begins where there is room and continues on another page.
    pub fn continues(&self) -> bool {
        self.largest_body().is_none()
    }

    /// Bytes of the item of a vector.
    fn vector_item(&self) -> usize {
        (self.body_start() + self.dims * 4).next_multiple_of(DELTA_PREFIX)
    }

    fn body_start(&self) -> usize {
        DELTA_PREFIX + self.columns * KEY
    }

    /// Items on so many pages, at most.
    pub fn items(&self, pages: u32) -> u64 {
        let pages = u64::from(pages);
        match self.space {
            Space::Dense(_) => pages * PAYLOAD as u64 / self.vector_item() as u64,
            // A sparse vector may have no elements.
            Space::Packed(packing) => {
                pages * (PAYLOAD / (self.body_start() + self.packed(packing).width())) as u64
            }
        }
    }

    fn packed(&self, packing: Packing) -> PackedLayout {
        PackedLayout::new(packing, self.dims)
    }

    /// Where on a page the first vector starts that starts there, if it were long enough.
    fn first(&self, sequence: u32) -> usize {
        let (start, item) = (u64::from(sequence) * PAYLOAD as u64, self.vector_item() as u64);
        (start.next_multiple_of(item) - start) as usize
    }

    /// Writes an item in the place of what is in `item`.
    ///
    /// # Panics
    /// If the value is of another form or length than the layout's.
    pub fn write(&self, item: &mut Vec<u8>, tid: Tid, keys: &[u64], body: Body<'_>) {
        assert_eq!(keys.len(), self.columns);
        item.clear();
        item.resize(DELTA_PREFIX, 0);
        tid.write(item);
        item.extend(keys.iter().flat_map(|key| key.to_le_bytes()));
        match (self.space, body) {
            (Space::Dense(_), Body::Dense(vector)) => {
                assert_eq!(vector.len(), self.dims);
                item.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
                item.resize(self.vector_item(), 0);
            }
            (Space::Packed(_), Body::Packed(bytes)) => {
                assert!(bytes.len().is_multiple_of(WORD) && self.largest_body() >= Some(bytes.len()));
                item[LENGTH..DELTA_PREFIX].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
                item.extend_from_slice(bytes);
            }
            _ => panic!("a value of another form than the index has"),
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
    fn keys(&self, item: &[u8], into: &mut [u64]) {
        for (key, bytes) in into.iter_mut().zip(item[DELTA_PREFIX..].chunks_exact(KEY)) {
            *key = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
    }

    /// Copies the vector of an item.
    fn vector(&self, item: &[u8], into: &mut [f32]) {
        for (value, bytes) in into.iter_mut().zip(item[self.body_start()..].chunks_exact(4)) {
            *value = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
        }
    }

    /// Bytes of the packed item that begins here.
    fn packed_item(&self, item: &[u8]) -> Option<usize> {
        let length = item.get(LENGTH..DELTA_PREFIX)?.try_into().expect("two bytes");
        Some(self.body_start() + usize::from(u16::from_le_bytes(length)))
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
    let mut at = if layout.continues() { layout.first(header.sequence) } else { 0 };
    while at + DELTA_PREFIX <= used {
        each(at, layout.tid(&payload[at..]));
        at += match layout.continues() {
            true => layout.vector_item(),
            false => layout.packed_item(&payload[at..]).unwrap_or(PAYLOAD),
        };
    }
}

/// Reads the values of a delta chain, whose pages it is given in order.
pub struct DeltaReader {
    layout: DeltaLayout,
    keys: Vec<u64>,
    vector: Vec<f32>,
    /// The beginning of a vector that goes on on the next page.
    begun: Vec<u8>,
}

impl DeltaReader {
    /// A reader of what is laid out like this.
    pub fn new(layout: DeltaLayout) -> Self {
        let vector = if layout.continues() { vec![0.0; layout.dims] } else { Vec::new() };
        DeltaReader { layout, keys: vec![0; layout.columns], vector, begun: Vec::new() }
    }

    /// Calls `each` with the row address, the keys and the value of every item that ends on this page and is not dead.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the item that goes on here did not begin as it must have, or a packed one goes on beyond the page.
    pub fn page(
        &mut self,
        header: &PageHeader,
        payload: &Payload,
        each: impl FnMut(Tid, &[u64], Body<'_>),
    ) -> Result<()> {
        let used = &payload[..(header.used as usize).min(PAYLOAD)];
        match self.layout.space {
            Space::Dense(_) => self.vectors(header.sequence, used, each),
            Space::Packed(packing) => self.packed(self.layout.packed(packing), used, each),
        }
    }

    fn packed(
        &mut self,
        packed: PackedLayout,
        used: &[u8],
        mut each: impl FnMut(Tid, &[u64], Body<'_>),
    ) -> Result<()> {
        let layout = self.layout;
        let mut rest = used;
        while !rest.is_empty() {
            let item = layout.packed_item(rest).and_then(|length| rest.split_at_checked(length));
            let Some((item, after)) = item else {
                return Err(Error::corrupt("a value of the delta goes on beyond its page"));
            };
            rest = after;
            let (tid, body) = (layout.tid(item), &item[layout.body_start()..]);
            if !packed.is_length(body.len()) {
                return Err(Error::corrupt(format!("a value of the delta has {} bytes", body.len())));
            }
            if !tid.is_dead() {
                layout.keys(item, &mut self.keys);
                each(tid, &self.keys, Body::Packed(body));
            }
        }
        Ok(())
    }

    fn vectors(
        &mut self,
        sequence: u32,
        used: &[u8],
        mut each: impl FnMut(Tid, &[u64], Body<'_>),
    ) -> Result<()> {
        let (layout, item) = (self.layout, self.layout.vector_item());
        let mut rest = used;
        let first = layout.first(sequence);
        let begun = (u64::from(sequence) * PAYLOAD as u64 % item as u64) as usize;
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
                each(tid, keys, Body::Dense(vector));
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
    use crate::layout::PageKind;
    use crate::{BitMetric, Metric};

    const DENSE: Space = Space::Dense(Metric::L2);
    const BITS: Space = Space::Packed(Packing::Bits(BitMetric::Hamming));
    const SPARSE: Space = Space::Packed(Packing::Sparse(Metric::L2));

    fn dense<'a>(body: Body<'a>) -> &'a [f32] {
        match body {
            Body::Dense(vector) => vector,
            Body::Packed(_) => panic!("not a vector"),
        }
    }

    #[test]
    fn items_round_trip() {
        for (dims, columns) in [(1, 0), (2, 1), (64, 31), (2030, 0), (2031, 3), (16_000, 2)] {
            let layout = DeltaLayout::new(DENSE, dims, columns);
            let keys: Vec<u64> = (0..columns as u64).map(|column| u64::MAX - column).collect();
            let vector: Vec<f32> = (0..dims).map(|i| i as f32 - 0.5).collect();
            let mut item = vec![0xffu8; 3];
            layout.write(&mut item, Tid::new(7, 9), &keys, Body::Dense(&vector));
            assert_eq!(item.len(), layout.vector_item());
            let (mut copy, mut copied_keys) = (vec![0.0; dims], vec![0; columns]);
            layout.vector(&item, &mut copy);
            layout.keys(&item, &mut copied_keys);
            assert_eq!((layout.tid(&item), copied_keys, &copy), (Tid::new(7, 9), keys, &vector));
            layout.kill(&mut item);
            assert!(layout.tid(&item).is_dead());
        }
    }

    /// The page of a chain in this position, with these contents.
    fn page(sequence: u32, contents: &[u8]) -> (PageHeader, Payload) {
        let mut header = PageHeader::new(PageKind::Delta, 5, sequence);
        let mut payload = [0; PAYLOAD];
        payload[..contents.len()].copy_from_slice(contents);
        header.used = contents.len() as u32;
        (header, payload)
    }

    /// The pages of a chain of so many vectors, as they are appended.
    fn pages(layout: &DeltaLayout, dims: usize, count: u32) -> Vec<(PageHeader, Payload)> {
        let (mut bytes, mut item) = (Vec::new(), Vec::new());
        for number in 0..count {
            let keys = vec![u64::from(number); layout.columns];
            layout.write(&mut item, Tid::new(number, 1), &keys, Body::Dense(&vec![number as f32; dims]));
            bytes.extend_from_slice(&item);
        }
        (0..).zip(bytes.chunks(PAYLOAD)).map(|(sequence, part)| page(sequence, part)).collect()
    }

    #[test]
    fn vectors_lie_across_pages() {
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
            let layout = DeltaLayout::new(DENSE, dims, columns);
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
                let each = |tid: Tid, keys: &[u64], body: Body<'_>| {
                    assert_eq!(keys, vec![u64::from(tid.block); columns]);
                    assert!(dense(body).iter().all(|&x| x == tid.block as f32));
                    found.push(tid.block);
                };
                reader.page(header, payload, each).unwrap();
            }
            assert_eq!(found, (0..count).filter(|number| number % 3 != 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_that_is_not_full_breaks_the_chain() {
        let layout = DeltaLayout::new(DENSE, 768, 0);
        let mut pages = pages(&layout, 768, 10);
        pages[1].0.used -= 8;
        let mut reader = DeltaReader::new(layout);
        let results: Vec<_> =
            pages.iter().map(|(header, payload)| reader.page(header, payload, |_, _, _| ())).collect();
        assert!(results[..2].iter().all(Result::is_ok));
        assert!(results[2].is_err());
    }

    #[test]
    fn packed_values_lie_on_one_page() {
        for (space, lengths) in [(BITS, [16, 16, 16]), (SPARSE, [24, 0, 8])] {
            let layout = DeltaLayout::new(space, 100, 2);
            assert!(layout.items(2) >= 2 * 200 && !layout.continues());
            let (mut contents, mut item) = (Vec::new(), Vec::new());
            for (number, length) in (0..).zip(lengths) {
                let body = vec![number as u8; length];
                layout.write(&mut item, Tid::new(number, 1), &[u64::from(number), 7], Body::Packed(&body));
                contents.extend_from_slice(&item);
            }
            let (header, mut payload) = page(4, &contents);
            let mut starts = Vec::new();
            delta_items(&layout, &header, &payload, |at, tid| starts.push((at, tid.block)));
            assert_eq!(starts.iter().map(|start| start.1).collect::<Vec<_>>(), [0, 1, 2]);
            layout.kill(&mut payload[starts[1].0..]);
            let mut found = Vec::new();
            let each = |tid: Tid, keys: &[u64], body: Body<'_>| {
                assert_eq!(keys, [u64::from(tid.block), 7]);
                assert_eq!(body, Body::Packed(&vec![tid.block as u8; lengths[tid.block as usize]]));
                found.push(tid.block);
            };
            DeltaReader::new(layout).page(&header, &payload, each).unwrap();
            assert_eq!(found, [0, 2]);
            // Cut off, or longer than the page.
            let cut = PageHeader { used: header.used - 8, ..header };
            assert!(DeltaReader::new(layout).page(&cut, &payload, |_, _, _| ()).is_err());
            payload[starts[2].0 + LENGTH + 1] = 0x7f;
            assert!(DeltaReader::new(layout).page(&header, &payload, |_, _, _| ()).is_err());
        }
    }

    #[test]
    fn the_largest_packed_values_fit() {
        assert_eq!(DeltaLayout::new(BITS, 64_000, 15).largest_body(), Some(8000));
        assert!(DeltaLayout::new(SPARSE, 7, 15).largest_body() >= Some(8000));
        assert_eq!(DeltaLayout::new(DENSE, 7, 0).largest_body(), None);
    }
}
