//! Reading a segment's packed values back, for merging.

use crate::attributes::leaf_keys;
use crate::export::{leaf_tids, EachVector};
use crate::layout::packed::PackedLayout;
use crate::layout::PageKind;
use crate::{Body, PageRead, Result, Segment};

/// Calls `each` for the values that are not dead; there is no slack. `check` is called between leaves, with no page held.
///
/// # Errors
/// [`crate::Error::Corrupt`] if a page is not what it should be.
pub(crate) fn export<S: PageRead>(
    segment: &Segment,
    layout: PackedLayout,
    store: &S,
    check: &mut dyn FnMut(),
    each: &mut EachVector<'_>,
) -> Result<()> {
    let columns = segment.columns();
    for leaf in 0..segment.leaves() {
        check();
        let tids = leaf_tids(segment, store, leaf)?;
        let keys = leaf_keys(segment, store, leaf, tids.len())?;
        let page = *store.page(PageKind::Leaf, leaf as u32)?;
        for (at, (item, &tid)) in layout.read(&page, tids.len()).zip(&tids).enumerate() {
            let (_, body) = item?;
            if !tid.is_dead() {
                each(Body::Packed(body), 0.0, &keys[at * columns..][..columns], tid);
            }
        }
    }
    Ok(())
}
