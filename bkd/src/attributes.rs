//! Reading the attributes of a segment.

use crate::layout::attributes::{read_code, Span};
use crate::layout::{PageKind, PAYLOAD};
use crate::{PageRead, Result, Segment};

/// Calls `each` with the codes of a column of a leaf, page by page, none of which is held afterwards. Not at all, if its codes take no
/// bytes.
pub(crate) fn for_each_run<S: PageRead>(
    segment: &Segment,
    store: &S,
    leaf: usize,
    column: usize,
    mut each: impl FnMut(&[u8]),
) -> Result<()> {
    let width = segment.span(leaf, column).width() as u64;
    let mut at = segment.attribute_start(leaf, column);
    let end = at + segment.leaf_vectors(leaf).len() as u64 * width;
    while at < end {
        let (page, offset) = segment.attribute_position(at);
        let bytes = (end - at).min((PAYLOAD - offset) as u64) as usize;
        each(&store.page(PageKind::Attributes, page)?[offset..offset + bytes]);
        at += bytes as u64;
    }
    Ok(())
}

/// The keys of the rows of a leaf, those of a row together. `vectors` is how many there are: to be known from pages that were read,
/// since a damaged directory may claim any number.
pub(crate) fn leaf_keys<S: PageRead>(
    segment: &Segment,
    store: &S,
    leaf: usize,
    vectors: usize,
) -> Result<Vec<u64>> {
    let columns = segment.columns();
    let mut keys = vec![0; vectors * columns];
    for column in 0..columns {
        let span = segment.span(leaf, column);
        let mut into = keys[column..].iter_mut().step_by(columns);
        let mut result = Ok(());
        let mut decode = |code| match span.key(code) {
            Ok(key) => into.next().into_iter().for_each(|slot| *slot = key),
            Err(error) => result = Err(error),
        };
        match span.width() {
            0 => (0..vectors).for_each(|_| decode(0)),
            width => for_each_run(segment, store, leaf, column, |run| {
                run.chunks_exact(width).map(read_code).for_each(&mut decode);
            })?,
        }
        result?;
    }
    Ok(keys)
}

/// The keys of a row.
pub(crate) fn row_keys<S: PageRead>(segment: &Segment, store: &S, ordinal: u32) -> Result<Vec<u64>> {
    let leaf = segment.leaf_of(ordinal);
    let within = u64::from(ordinal - segment.leaf_vectors(leaf).start);
    let key = |column| {
        let span: Span = segment.span(leaf, column);
        let width = span.width();
        if width == 0 {
            return span.key(0);
        }
        let (page, at) =
            segment.attribute_position(segment.attribute_start(leaf, column) + within * width as u64);
        span.key(read_code(&store.page(PageKind::Attributes, page)?[at..at + width]))
    };
    (0..segment.columns()).map(key).collect()
}
