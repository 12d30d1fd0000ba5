//! Damaged directories, over pages that are as they were built; and bytes that never were a directory.

#![no_main]

use arbitrary::Arbitrary;
use bkd::{Directory, Segment};
use kdvector_fuzz::{read_all, Damage, Honest};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    choice: u8,
    /// Instead of the honest bytes.
    bytes: Option<Vec<u8>>,
    keep: Option<u16>,
    damages: Vec<(Part, Damage)>,
}

/// Most of what decides about sizes lies at the two ends.
#[derive(Arbitrary, Debug)]
enum Part {
    Start,
    End,
    Anywhere,
}

const END: usize = 40;

fuzz_target!(|input: Input| {
    let honest = Honest::choose(input.choice);
    let mut bytes = input.bytes.unwrap_or_else(|| honest.encoded.clone());
    for (part, damage) in &input.damages {
        let length = bytes.len();
        damage.apply(match part {
            Part::Start => &mut bytes[..length.min(END)],
            Part::End => &mut bytes[length.saturating_sub(END)..],
            Part::Anywhere => &mut bytes,
        });
    }
    if let Some(keep) = input.keep {
        bytes.truncate(usize::from(keep));
    }
    let Ok(directory) = Directory::decode(&bytes) else { return };
    // NaN is no part of a directory that was accepted, so equality is that of its bits but for the sign of zero.
    assert_eq!(Directory::decode(&directory.encode().expect("it was decoded")), Ok(directory.clone()));
    if let Ok(segment) = Segment::open(7, directory) {
        let _ = read_all(segment, &honest.store(&[]));
    }
});
