//! Page headers and the metapage: what is accepted reads the same when it is written again, and what the quick check of
//! a header accepts the thorough one does too.

#![no_main]

use arbitrary::Arbitrary;
use bkd::layout::meta::{Chain, Meta, SegmentEntry, Work};
use bkd::layout::{
    set_checksum, set_header_checksum, PageHeader, PageKind, Payload, HEADER_OFFSET, PAGE_SIZE, PAYLOAD,
    PAYLOAD_OFFSET,
};
use bkd::{Metric, Space};
use kdvector_fuzz::Damage;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    header: Vec<Damage>,
    segments: u8,
    retired: u8,
    meta: Vec<Damage>,
    /// Instead of an honest metapage's.
    bytes: Option<Vec<u8>>,
}

fuzz_target!(|input: Input| {
    header(&input.header);
    meta(&input);
});

fn header(damages: &[Damage]) {
    let mut page = [0u8; PAGE_SIZE];
    let mut header = PageHeader::new(PageKind::Delta, 5, 3);
    header.appended(&[1; 100]);
    header.write(&mut page);
    page[PAYLOAD_OFFSET..][..100].fill(1);
    set_header_checksum(&mut page);
    assert_eq!(PageHeader::read(&page), Ok(header));
    let sound = page;
    // What lies behind the payload in use is not covered.
    damages.iter().for_each(|damage| damage.apply(&mut page[HEADER_OFFSET..PAYLOAD_OFFSET + 100]));
    let read = PageHeader::read(&page);
    // Up to 32 neighbouring bits never escape the checksums; more do by chance, which is not met here.
    assert!(page == sound || read.is_err(), "damage was not noticed");
    // Whoever can write the page can write its checksums.
    set_checksum(&mut page);
    match PageHeader::read(&page) {
        Ok(header) => {
            assert_eq!(PageHeader::read_alone(&page), Ok(header));
            let quick = PageHeader::matches(&page, PageKind::Delta, 5, 3);
            assert_eq!(quick, !header.closed && header.expect(PageKind::Delta, 5, 3).is_ok());
            header.write(&mut page);
            set_header_checksum(&mut page);
            assert_eq!(PageHeader::read(&page), Ok(header));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn meta(input: &Input) {
    let mut meta = Meta::new(Space::Dense(Metric::Cosine), 0, 3, 2);
    meta.delta = Chain { owner: meta.take_owner(), head: 1, tail: 2, pages: 2 };
    let entry = SegmentEntry { id: 9, directory: 3, directory_bytes: 100, vectors: 5, dead: 1, pages: 4 };
    meta.segments = vec![entry; usize::from(input.segments).min(Meta::MAX_SEGMENTS)];
    meta.retired = vec![meta.delta.retire(5); usize::from(input.retired).min(Meta::MAX_RETIRED)];
    let mut payload: Payload = [0; PAYLOAD];
    let used = meta.write(&mut payload);
    if let Some(bytes) = &input.bytes {
        let length = bytes.len().min(PAYLOAD);
        payload[..length].copy_from_slice(&bytes[..length]);
    }
    input.meta.iter().for_each(|damage| damage.apply(&mut payload[..used]));
    match Meta::read(&payload) {
        Ok(mut meta) => {
            for work in [Work::Seal, Work::Merge] {
                assert!(meta.room_for_segments(work, 1) <= Meta::MAX_SEGMENTS + 1);
                assert!(meta.room_to_retire(work) <= Meta::MAX_RETIRED);
            }
            meta.release(Work::Merge);
            let mut again: Payload = [0; PAYLOAD];
            meta.write(&mut again);
            assert_eq!(Meta::read(&again), Ok(meta));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
