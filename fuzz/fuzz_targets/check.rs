//! The verification of a segment, with a damaged directory over damaged pages: it accuses no honest segment, and is not
//! harmed by any other.

#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use bkd::{check_segment, Body, Directory, RowCheck, Segment};
use kdvector_fuzz::{Damage, Honest, PageDamage};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    choice: u8,
    directory: Vec<Damage>,
    pages: Vec<PageDamage>,
    /// A row that may not be there.
    ordinal: u32,
    element: f32,
}

fuzz_target!(|input: Input| {
    let honest = Honest::choose(input.choice);
    let mut bytes = honest.encoded.clone();
    input.directory.iter().for_each(|damage| damage.apply(&mut bytes));
    let Ok(segment) = Directory::decode(&bytes).and_then(|directory| Segment::open(7, directory)) else {
        return;
    };
    let store = honest.store(&input.pages);
    let sound = input.directory.is_empty() && input.pages.is_empty();
    check_segment(&segment, &store, &mut || (), &mut |finding| {
        assert!(!sound, "an honest segment is accused: {}", finding.problem);
    });
    let (vectors, vector) = (segment.vectors(), vec![input.element; segment.dims()]);
    let mut rows = RowCheck::new(Arc::new(segment), &store);
    for ordinal in (0..vectors.min(200)).chain([input.ordinal]) {
        let _ = (rows.keys(ordinal), rows.check(ordinal, Body::Dense(&vector)));
    }
});
