//! The attributes of a segment, in the order of its leaves.

use super::pages::StreamPages;
use super::{Input, Progress};
use crate::layout::attributes::{write_code, Span};
use crate::layout::PageKind;
use crate::{AttributeTable, PageSink, Result};

/// Writes the keys of the leaves, of which each run of `leaf_size` vectors in `order` is one.
pub(super) fn write(
    input: &Input<'_>,
    order: &[u32],
    leaf_size: usize,
    progress: &Progress,
    sink: &mut (dyn PageSink + Send),
) -> Result<AttributeTable> {
    let (columns, leaves) = (input.columns, order.len().div_ceil(leaf_size));
    let mut spans = vec![Span::EMPTY; columns * leaves];
    let mut pages = StreamPages::new(PageKind::Attributes);
    let mut bytes = Vec::new();
    for (leaf, ids) in order.chunks(leaf_size).enumerate() {
        progress.check()?;
        for column in 0..columns {
            let key = |&id: &u32| input.keys[id as usize * columns + column];
            let span = Span::of(ids.iter().map(key));
            spans[column * leaves + leaf] = span;
            if span.width() > 0 {
                bytes.clear();
                bytes.resize(span.bytes(ids.len()) as usize, 0);
                for (id, code) in ids.iter().zip(bytes.chunks_exact_mut(span.width())) {
                    write_code(span.code(key(id)), code);
                }
                pages.append(&bytes, sink)?;
            }
        }
    }
    pages.finish(sink)?;
    Ok(AttributeTable::new(columns, &spans))
}
