//! Attributes: codes are such as the directory says, of the width that it says, and no narrower ones would do.

use super::{Full, Report};
use crate::attributes::for_each_run;
use crate::layout::attributes::{read_code, Span, LAST_KEY, NULL_KEY};
use crate::layout::{PageKind, PAYLOAD};
use crate::{PageRead, Segment};

/// Looks at the attributes of all leaves.
pub(crate) fn check<S: PageRead>(
    segment: &Segment,
    store: &S,
    check: &mut dyn FnMut(),
    report: &mut Report<'_>,
) -> Result<(), Full> {
    let mut unreadable = false;
    for sequence in segment.attribute_pages() {
        check();
        let before = u64::from(sequence - segment.attribute_pages().start) * PAYLOAD as u64;
        let used = (segment.attribute_bytes() - before).min(PAYLOAD as u64) as usize;
        let rest =
            store.page(PageKind::Attributes, sequence).map(|page| page[used..].iter().any(|&byte| byte != 0));
        match rest {
            Ok(false) => {}
            Ok(true) => report.add(Some(sequence), "what the page does not use is not zero")?,
            Err(error) => {
                unreadable = true;
                report.add(Some(sequence), error.to_string())?;
            }
        }
    }
    if unreadable {
        return Ok(());
    }
    for leaf in 0..segment.leaves() {
        check();
        for column in 0..segment.columns() {
            let Some(problem) = problem_of(segment, store, leaf, column) else { continue };
            let (page, _) = segment.attribute_position(segment.attribute_start(leaf, column));
            report.add(Some(page), format!("leaf {leaf}: attribute {}: {problem}", column + 1))?;
        }
    }
    Ok(())
}

/// What is wrong with the codes of a column of a leaf. Codes of no bytes are all the same, and nothing can be wrong with them.
fn problem_of<S: PageRead>(segment: &Segment, store: &S, leaf: usize, column: usize) -> Option<String> {
    let said = segment.span(leaf, column);
    let (mut least, mut most, mut nulls) = (LAST_KEY, 0, false);
    let mut impossible = None;
    let width = match said.width() {
        0 => return None,
        width => width,
    };
    let read = for_each_run(segment, store, leaf, column, |run| {
        for code in run.chunks_exact(width) {
            match said.key(read_code(code)) {
                Ok(NULL_KEY) => nulls = true,
                Ok(key) => (least, most) = (least.min(key), most.max(key)),
                Err(error) => impossible = Some(error),
            }
        }
    });
    if let Some(error) = read.err().or(impossible) {
        Some(error.to_string())
    } else if (Span { least, most, nulls }) != said {
        Some("the smallest and the largest key are not those of its rows".into())
    } else if has_idle_bytes(segment, store, leaf, column) {
        Some("there is something between its codes and the next".into())
    } else {
        None
    }
}

/// Whether anything is in the bytes behind the codes of a column, up to where the next one starts.
fn has_idle_bytes<S: PageRead>(segment: &Segment, store: &S, leaf: usize, column: usize) -> bool {
    let (span, vectors) = (segment.span(leaf, column), segment.leaf_vectors(leaf).len());
    let start = segment.attribute_start(leaf, column);
    let codes = start + vectors as u64 * span.width() as u64;
    let end = start + span.bytes(vectors);
    if codes == end {
        return false;
    }
    // Columns start at multiples of eight bytes, as pages do, so this is on one page.
    let (page, at) = segment.attribute_position(codes);
    let length = (end - codes) as usize;
    store
        .page(PageKind::Attributes, page)
        .is_ok_and(|page| page[at..at + length].iter().any(|&byte| byte != 0))
}
