//! The attributes of a segment, in the order of its leaves.

use super::pages::StreamPages;
use super::Progress;
use crate::layout::attributes::{write_code, Span};
use crate::layout::PageKind;
use crate::{AttributeTable, PageSink, Result};

/// Writes the keys of leaves, which are given by what they have of all that is built. `keys` has those of `columns` attributes of each.
pub(crate) fn write<'a>(
    columns: usize,
    keys: &[u64],
    leaves: impl ExactSizeIterator<Item = &'a [u32]>,
    progress: &Progress,
    sink: &mut (dyn PageSink + Send),
) -> Result<AttributeTable> {
    let count = leaves.len();
    let mut spans = vec![Span::EMPTY; columns * count];
    let mut pages = StreamPages::new(PageKind::Attributes);
    let mut bytes = Vec::new();
    for (leaf, ids) in leaves.enumerate() {
        progress.check()?;
        for column in 0..columns {
            let key = |&id: &u32| keys[id as usize * columns + column];
            let span = Span::of(ids.iter().map(key));
            spans[column * count + leaf] = span;
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
