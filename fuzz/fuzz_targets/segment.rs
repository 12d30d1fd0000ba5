//! Damaged pages of a segment (coarse stream, fine plane, row addresses) under an honest directory.

#![no_main]

use bkd::Segment;
use kdvector_fuzz::{read_all, Honest, PageDamage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<PageDamage>)| {
    let (choice, damages) = input;
    let honest = Honest::choose(choice);
    let segment = Segment::open(7, honest.directory.clone()).expect("the directory is honest");
    let read = read_all(segment, &honest.store(&damages));
    assert!(read.is_ok() || !damages.is_empty(), "{read:?}");
});
