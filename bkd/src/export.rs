//! Reading a segment's vectors back, for merging. No row is needed: codes say where each vector is, up to its residual.

use crate::attributes::leaf_keys;
use crate::decode::LeafReader;
use crate::layout::{tids, PageKind};
use crate::query::{round_up, UNIT};
use crate::search::Stream;
use crate::{packed, Body, PageRead, Result, Segment, Tid};

/// Takes a value, its slack, the keys of its attributes and the row's address.
pub type EachVector<'a> = dyn FnMut(Body<'_>, f32, &[u64], Tid) + 'a;

/// Decodes the values of a segment, calling `each(value, slack, keys, tid)` for those that are not dead: what was indexed lies
/// within `slack` of `value`. `check` is called between leaves, with no page held.
///
/// # Errors
/// [`Error::Corrupt`] if a page is not what it should be.
pub fn export<S: PageRead>(
    segment: &Segment,
    store: &S,
    check: &mut dyn FnMut(),
    each: &mut EachVector<'_>,
) -> Result<()> {
    store.expect(vec![segment.leaf_pages()]);
    if let Some(layout) = segment.packed() {
        return packed::export::export(segment, layout, store, check, each);
    }
    let mut reader = LeafReader::new(segment);
    let mut vector = vec![0f32; segment.dims()];
    let columns = segment.columns();
    let metric = segment.metric();
    for leaf in 0..segment.leaves() {
        check();
        let tids = leaf_tids(segment, store, leaf)?;
        let keys = leaf_keys(segment, store, leaf, tids.len())?;
        let mut stream = Stream::new(segment, store);
        let mut planes = stream.planes();
        reader.open(segment, &mut planes.coarse, leaf)?;
        for (at, (ordinal, tid)) in segment.leaf_vectors(leaf).zip(tids).enumerate() {
            if tid.is_dead() {
                continue;
            }
            let claims = reader.read(segment, &mut planes, ordinal)?;
            let mut sum = 0f64;
            for (x, decoded) in vector.iter_mut().zip(reader.vector.decoded()) {
                *x = decoded as f32;
                sum += metric.term(decoded);
            }
            let slack = round_up(f64::from(claims.whole) + 2.0 * UNIT * metric.of_sum(sum) + 1e-40);
            each(Body::Dense(&vector), slack, &keys[at * columns..][..columns], tid);
        }
    }
    Ok(())
}

/// A vector of a segment as its codes say, and the row's address.
///
/// # Errors
/// [`Error::Corrupt`](crate::Error::Corrupt) if a page is not what it should be.
///
/// # Panics
/// If the segment has no vector of that position, or packed values.
pub fn decode<S: PageRead>(segment: &Segment, store: &S, ordinal: u32) -> Result<(Vec<f32>, Tid)> {
    let mut reader = LeafReader::new(segment);
    let mut stream = Stream::new(segment, store);
    let mut planes = stream.planes();
    reader.open(segment, &mut planes.coarse, segment.leaf_of(ordinal))?;
    reader.read(segment, &mut planes, ordinal)?;
    let vector = reader.vector.decoded().map(|x| x as f32).take(segment.dims()).collect();
    let (page, slot) = segment.tid_position(ordinal);
    Ok((vector, tids::get(&*store.page(PageKind::Tids, page)?, slot)))
}

pub(crate) fn leaf_tids<S: PageRead>(segment: &Segment, store: &S, leaf: usize) -> Result<Vec<Tid>> {
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
