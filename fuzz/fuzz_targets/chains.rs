//! Pages of the delta and of the lists of rows. Pages are given to the reader in order, as whoever walks along a chain
//! asserts; what is on them, and how much of them is said to be in use, may be anything.

#![no_main]

use arbitrary::Arbitrary;
use bkd::layout::chain::{delta_items, list_items, DeltaLayout, DeltaReader};
use bkd::layout::{tids, PageHeader, PageKind, Payload, PAYLOAD};
use bkd::{Tid, MAX_DIMS};
use kdvector_fuzz::Damage;
use libfuzzer_sys::fuzz_target;

/// One, a few, as many as just fill a page, more than one page, as many as there can be.
const DIMS: [usize; 7] = [1, 3, 64, 2030, 2031, 4100, MAX_DIMS];

#[derive(Arbitrary, Debug)]
struct Input {
    dims: u8,
    items: u8,
    /// The first page's position in the chain, which a damaged header may have wrong.
    first: u8,
    damages: Vec<(u8, Damage)>,
    /// Payload bytes that are said to be in use.
    used: Vec<(u8, u16)>,
}

fuzz_target!(|input: Input| {
    let layout = DeltaLayout::new(DIMS[usize::from(input.dims) % DIMS.len()]);
    let items = usize::from(input.items % 64) / layout.pages_per_item + 1;
    let mut pages = delta(&layout, items);
    let count = pages.len();
    for (page, damage) in &input.damages {
        damage.apply(&mut pages[usize::from(*page) % count].1);
    }
    for &(page, used) in &input.used {
        pages[usize::from(page) % count].0.used = u32::from(used) % (PAYLOAD as u32 + 1);
    }
    for (header, _) in &mut pages {
        header.sequence += u32::from(input.first);
    }
    let honest = input.damages.is_empty() && input.used.is_empty() && input.first == 0;
    let read = read(&layout, &pages);
    assert!(!honest || read == Ok(items), "{read:?}");
});

/// A chain of items, all of whose elements are 1.
fn delta(layout: &DeltaLayout, items: usize) -> Vec<(PageHeader, Payload)> {
    let mut bytes = Vec::new();
    let mut pages = Vec::new();
    let mut item = vec![0; layout.item()];
    let vector = vec![1.0; (layout.item() - 8) / 4];
    for row in 0..items {
        layout.write(&mut item, Tid::new(row as u32 + 1, 1), &vector);
        bytes.extend_from_slice(&item);
        let full = bytes.len() / layout.item() == layout.per_page || row + 1 == items;
        if full {
            for part in bytes.chunks(PAYLOAD) {
                let mut header = PageHeader::new(PageKind::Delta, 5, pages.len() as u32);
                header.used = part.len() as u32;
                let mut payload: Payload = [0; PAYLOAD];
                payload[..part.len()].copy_from_slice(part);
                pages.push((header, payload));
            }
            bytes.clear();
        }
    }
    pages
}

/// Reads the pages in every way; returns how many vectors there were.
fn read(layout: &DeltaLayout, pages: &[(PageHeader, Payload)]) -> bkd::Result<usize> {
    let dims = (layout.item() - 8) / 4;
    let mut reader = DeltaReader::new(dims);
    let mut vectors = 0;
    for (header, payload) in pages {
        delta_items(layout, header, payload, |at, tid| assert_eq!(tid, layout.tid(&payload[at..])));
        list_items(header, payload, |slot, tid| assert_eq!(tid, tids::get(payload, slot)));
        reader.page(header, payload, |_, vector| {
            assert_eq!(vector.len(), dims);
            vectors += 1;
        })?;
        assert!(vectors <= pages.len() * layout.per_page);
    }
    Ok(vectors)
}
