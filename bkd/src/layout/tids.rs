//! Pages of row addresses: one [`Tid`] a vector, in the order of the leaves, densely packed.
//!
//! They are apart from the codes because VACUUM reads all of them, and a scan only those of the rows that it returns.

use super::Payload;
use crate::Tid;

/// Row addresses in a page.
pub const PER_PAGE: usize = super::PAYLOAD / Tid::SIZE;

/// Page (within the plane) and slot of a vector's address.
#[inline]
pub fn position(ordinal: u32) -> (u32, usize) {
    (ordinal / PER_PAGE as u32, ordinal as usize % PER_PAGE)
}

/// The address in a slot.
#[inline]
pub fn get(payload: &Payload, slot: usize) -> Tid {
    Tid::read(&payload[slot * Tid::SIZE..])
}

/// Replaces the address in a slot.
#[inline]
pub fn set(payload: &mut Payload, slot: usize, tid: Tid) {
    tid.write(&mut payload[slot * Tid::SIZE..]);
}
