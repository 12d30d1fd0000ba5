//! Does a segment of packed values say what its builder meant?

use super::build::{leaf_range, size_of};
use crate::check::{attributes, check_tids, Full, Report};
use crate::layout::packed::PackedLayout;
use crate::layout::{PageKind, Payload};
use crate::{Packing, PageRead, Result, Segment};

/// How far the sum of a size may depend on the order of its terms.
const ROUNDING: f64 = 1e-11;

/// Looks at everything.
pub(crate) fn check<S: PageRead>(
    segment: &Segment,
    layout: PackedLayout,
    store: &S,
    check: &mut dyn FnMut(),
    report: &mut Report<'_>,
) -> Result<(), Full> {
    let packing = segment.directory().space.packing();
    let mut before = f64::NEG_INFINITY;
    for leaf in 0..segment.leaves() {
        check();
        match store.page(PageKind::Leaf, leaf as u32) {
            Err(error) => report.add(Some(leaf as u32), error.to_string())?,
            Ok(page) => {
                let problem = problem_of(segment, layout, packing, leaf, &page, &mut before);
                if let Some(problem) = problem {
                    report.add(Some(leaf as u32), problem)?;
                }
            }
        }
    }
    check_tids(segment, store, check, report)?;
    attributes::check(segment, store, check, report)
}

/// What is wrong with a leaf. `before` is the size of the last value of the leaves before.
fn problem_of(
    segment: &Segment,
    layout: PackedLayout,
    packing: Packing,
    leaf: usize,
    page: &Payload,
    before: &mut f64,
) -> Option<String> {
    let mut items = layout.read(page, segment.leaf_vectors(leaf).len());
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for (at, item) in items.by_ref().enumerate() {
        let (said, body) = match item {
            Ok(item) => item,
            Err(error) => return Some(error.to_string()),
        };
        if !layout.is_body(body) {
            return Some(format!("value {at} is none of {} dimensions", segment.dims()));
        }
        let size = size_of(packing, body);
        let is_sparse = matches!(packing, Packing::Sparse(_));
        if is_sparse && (said - size).abs() > size * ROUNDING {
            return Some(format!("value {at} has another size than is said of it"));
        }
        // Those of sparse vectors are part of what was sorted.
        let size = if is_sparse { said } else { size };
        if size < *before {
            return Some(format!("value {at} is smaller than the one before"));
        }
        *before = size;
        (least, most) = (least.min(size), most.max(size));
    }
    if items.rest().iter().any(|&byte| byte != 0) {
        return Some("what the page does not use is not zero".into());
    }
    let table = &segment.directory().leaves;
    ((table.low[leaf], table.high[leaf]) != leaf_range(least, most))
        .then(|| "the smallest and the largest size are not those of its values".into())
}

/// What is wrong with the value at a position, if it should be this one.
///
/// # Errors
/// [`crate::Error::Corrupt`] if a page is not what it should be.
pub(crate) fn check_row<S: PageRead>(
    segment: &Segment,
    layout: PackedLayout,
    store: &S,
    ordinal: u32,
    body: &[u8],
) -> Result<Option<&'static str>> {
    let leaf = segment.leaf_of(ordinal);
    let at = (ordinal - segment.leaf_vectors(leaf).start) as usize;
    let page = store.page(PageKind::Leaf, leaf as u32)?;
    let found = layout.read(&page, at + 1).last().expect("at least one")?;
    Ok((found.1 != body).then_some("has another value than the index"))
}
