//! Reading a segment's vectors back, for merging. No row is needed: codes say where each vector is, up to its residual.

use crate::layout::leaf::{padded, GROUP, LANES};
use crate::layout::{tids, PageKind, CHUNK};
use crate::query::{round_up, UNIT};
use crate::search::{gather, read_header, Stream};
use crate::{PageRead, Result, Segment, Tid};

/// Decodes the vectors of a segment, calling `each(vector, slack, tid)` for those that are not dead: what was indexed lies
/// within `slack` of `vector`. `check` is called between leaves, with no page held.
///
/// # Errors
/// [`Error::Corrupt`] if a page is not what it should be.
pub fn export<S: PageRead>(
    segment: &Segment,
    store: &S,
    check: &mut dyn FnMut(),
    each: &mut dyn FnMut(&[f32], f32, Tid),
) -> Result<()> {
    let layout = segment.layout();
    let padded = padded(segment.dims());
    let (mut low, mut step) = (vec![0f32; padded], vec![0f32; padded]);
    let mut high_nibbles = vec![0u8; padded / 2];
    let mut vector = vec![0f32; padded];
    for leaf in 0..segment.leaves() {
        check();
        let tids = leaf_tids(segment, store, leaf)?;
        let mut stream = Stream::new(segment, store);
        let (mut coarse, mut fine) = stream.split();
        let mut at = segment.leaf_chunk(leaf);
        let ordinals = segment.leaf_vectors(leaf);
        let header = read_header(&mut coarse, at, ordinals.len())?;
        coarse.runs(at + 1, layout.groups, |group, run| {
            for (chunk, group) in run.chunks_exact(CHUNK).zip(group..) {
                let value =
                    |at: usize| f32::from_le_bytes(chunk[at * 4..at * 4 + 4].try_into().expect("four bytes"));
                for lane in 0..GROUP {
                    low[group * GROUP + lane] = value(lane);
                    step[group * GROUP + lane] = value(GROUP + lane);
                }
            }
        })?;
        at += layout.prefix_chunks() as u64;
        for (within, (ordinal, tid)) in ordinals.zip(tids).enumerate() {
            if tid.is_dead() {
                continue;
            }
            let (block, lane) = (within / LANES, within % LANES);
            let codes = at + (block * layout.block_chunks() + 1) as u64;
            gather(&mut coarse, codes, layout.groups, lane, &mut high_nibbles)?;
            let (low_nibbles, residual) = fine.record(ordinal)?;
            let mut square = 0f64;
            for (group, vector) in vector.chunks_exact_mut(GROUP).enumerate() {
                for (lane, x) in vector.iter_mut().enumerate() {
                    let byte = group * 4 + lane % 4;
                    let code = if lane < 4 {
                        high_nibbles[byte] << 4 | low_nibbles[byte] & 15
                    } else {
                        high_nibbles[byte] & 0xf0 | low_nibbles[byte] >> 4
                    };
                    let dim = group * GROUP + lane;
                    let decoded = f64::from(low[dim]) + f64::from(step[dim]) * f64::from(code);
                    *x = decoded as f32;
                    square += decoded * decoded;
                }
            }
            let residual = f64::from(header.fine_base + header.fine_step * f32::from(residual));
            let slack = round_up(residual + 2.0 * UNIT * square.sqrt() + 1e-40);
            each(&vector[..segment.dims()], slack, tid);
        }
    }
    Ok(())
}

fn leaf_tids<S: PageRead>(segment: &Segment, store: &S, leaf: usize) -> Result<Vec<Tid>> {
    let mut ordinals = segment.leaf_vectors(leaf).peekable();
    // Grows with the pages that are there: a damaged directory may claim any number.
    let mut found = Vec::new();
    while let Some(&first) = ordinals.peek() {
        let (page, _) = segment.tid_position(first);
        let payload = store.page(PageKind::Tids, page)?;
        while let Some(ordinal) = ordinals.next_if(|&ordinal| segment.tid_position(ordinal).0 == page) {
            found.push(tids::get(&payload, segment.tid_position(ordinal).1));
        }
    }
    Ok(found)
}
