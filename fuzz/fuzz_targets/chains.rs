//! Pages of the delta and of the lists of rows. Pages are given to the reader in order, as whoever walks along a chain
//! asserts; what is on them, and how much of them is said to be in use, may be anything.

#![no_main]

use arbitrary::Arbitrary;
use bkd::layout::attributes::MAX_COLUMNS;
use bkd::layout::chain::{delta_items, list_items, DeltaLayout, DeltaReader};
use bkd::layout::{tids, PageHeader, PageKind, Payload, PAYLOAD};
use bkd::{BitMetric, Body, Metric, Packing, Space, Tid, MAX_DIMS};
use kdvector_fuzz::Damage;
use libfuzzer_sys::fuzz_target;

/// One, a few, as many as just fill a page, one more, several pages, as many as there can be.
const DIMS: [usize; 7] = [1, 3, 64, 2030, 2031, 4100, MAX_DIMS];

/// Vectors, which continue on the next page, bits, all of one length, and sparse vectors of different ones.
const SPACES: [Space; 3] = [
    Space::Dense(Metric::L2),
    Space::Packed(Packing::Bits(BitMetric::Hamming)),
    Space::Packed(Packing::Sparse(Metric::L2)),
];

/// Bytes of an item before its value.
const PREFIX: usize = 8;

#[derive(Arbitrary, Debug)]
struct Input {
    form: u8,
    dims: u8,
    columns: u8,
    items: u8,
    /// The first page's position in the chain, which a damaged header may have wrong.
    first: u8,
    damages: Vec<(u8, Damage)>,
    /// Payload bytes that are said to be in use.
    used: Vec<(u8, u16)>,
}

fuzz_target!(|input: Input| {
    let dims = DIMS[usize::from(input.dims) % DIMS.len()];
    let columns = usize::from(input.columns) % (MAX_COLUMNS + 1);
    let space = SPACES[usize::from(input.form) % SPACES.len()];
    let layout = DeltaLayout::new(space, dims, columns);
    let most = (layout.items(4) as usize).min(2000);
    let items = usize::from(input.items) % (most + 3);
    let mut pages = delta(&layout, space, dims, columns, items);
    let count = pages.len().max(1);
    for (page, damage) in &input.damages {
        if let Some((_, payload)) = pages.get_mut(usize::from(*page) % count) {
            damage.apply(payload);
        }
    }
    for &(page, used) in &input.used {
        if let Some((header, _)) = pages.get_mut(usize::from(page) % count) {
            header.used = u32::from(used) % (PAYLOAD as u32 + 1);
        }
    }
    for (header, _) in &mut pages {
        header.sequence += u32::from(input.first);
    }
    let honest = input.damages.is_empty() && input.used.is_empty() && input.first == 0;
    let read = read(&layout, dims, columns, &pages);
    assert!(!honest || read == Ok(items), "{read:?}");
});

/// A chain of items, all of whose elements are 1.
fn delta(
    layout: &DeltaLayout,
    space: Space,
    dims: usize,
    columns: usize,
    items: usize,
) -> Vec<(PageHeader, Payload)> {
    let (keys, vector) = (vec![7; columns], vec![1.0; dims]);
    let (mut item, mut contents) = (Vec::new(), vec![Vec::new()]);
    for row in 0..items {
        let packed = match space {
            Space::Dense(_) => Vec::new(),
            Space::Packed(Packing::Bits(_)) => vec![0xff; dims.div_ceil(64) * 8],
            Space::Packed(Packing::Sparse(_)) => vec![1; row % 100 * 8],
        };
        let body = if layout.continues() { Body::Dense(&vector) } else { Body::Packed(&packed) };
        layout.write(&mut item, Tid::new(row as u32 + 1, 1), &keys, body);
        let page: &mut Vec<u8> = contents.last_mut().expect("not empty");
        let room = PAYLOAD - page.len();
        if item.len() <= room {
            page.extend_from_slice(&item);
        } else if layout.continues() {
            let (begun, rest) = item.split_at(room);
            page.extend_from_slice(begun);
            contents.extend(rest.chunks(PAYLOAD).map(<[u8]>::to_vec));
        } else {
            contents.push(item.clone());
        }
    }
    let page = |(sequence, part): (usize, &Vec<u8>)| {
        let mut header = PageHeader::new(PageKind::Delta, 5, sequence as u32);
        header.used = part.len() as u32;
        let mut payload: Payload = [0; PAYLOAD];
        payload[..part.len()].copy_from_slice(part);
        (header, payload)
    };
    contents.iter().enumerate().map(page).collect()
}

/// Reads the pages in every way; returns how many vectors there were.
fn read(
    layout: &DeltaLayout,
    dims: usize,
    columns: usize,
    pages: &[(PageHeader, Payload)],
) -> bkd::Result<usize> {
    let mut reader = DeltaReader::new(*layout);
    let mut vectors = 0;
    for (header, payload) in pages {
        delta_items(layout, header, payload, |at, tid| {
            assert!(at + PREFIX <= header.used as usize);
            assert_eq!(tid, layout.tid(&payload[at..]));
        });
        list_items(header, payload, |slot, tid| assert_eq!(tid, tids::get(payload, slot)));
        reader.page(header, payload, |_, keys, body| {
            assert_eq!(keys.len(), columns);
            assert!(!layout.continues() || body.dense().len() == dims);
            vectors += 1;
        })?;
        assert!(vectors as u64 <= layout.items(header.sequence + 1));
    }
    Ok(vectors)
}
