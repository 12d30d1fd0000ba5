//! Inserting a row: into the delta chain, or into one of the lists.

use std::cell::RefCell;

use bkd::layout::chain::DeltaLayout;
use bkd::layout::meta::Head;
use bkd::{Placement, Tid};
use pgrx::prelude::*;
use pgrx::{itemptr, pg_sys};

use super::chain::{self, Part};
use super::value::{check_dims, Prepared, Value};
use super::vector_type::VectorType;
use super::{attributes, meta, seal};
use crate::pg::index::Index;
use crate::pg::report::OrRaise;

/// `aminsert`
///
/// # Safety
/// Called by Postgres with an open index, one value and the address of the row.
#[pg_guard]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C-unwind" fn insert(
    index: pg_sys::Relation,
    values: *mut pg_sys::Datum,
    isnull: *mut bool,
    heap_tid: pg_sys::ItemPointer,
    _heap: pg_sys::Relation,
    _check_unique: pg_sys::IndexUniqueCheck::Type,
    _index_unchanged: bool,
    _index_info: *mut pg_sys::IndexInfo,
) -> bool {
    // SAFETY: as the caller promises.
    let (index, tid, value) = unsafe { (Index::from_raw(index), tid_of(heap_tid), non_null(values, isnull)) };
    let head = meta::read_head(index);
    match value {
        None => append_tid(index, &head, Part::Null, 0, tid),
        Some(datum) => {
            let vector_type = VectorType::of_metapage(head.space, head.input).or_raise(index);
            // SAFETY: the operator class is on that type.
            let value = unsafe { Value::from_datum(vector_type, datum) };
            // SAFETY: as the caller promises.
            unsafe { insert_value(index, &head, &value, values, isnull, tid) };
            value.release();
        }
    }
    // No uniqueness to report.
    false
}

/// The first value, unless it is NULL.
///
/// # Safety
/// Both arrays have at least one element.
pub unsafe fn non_null(values: *const pg_sys::Datum, isnull: *const bool) -> Option<pg_sys::Datum> {
    // SAFETY: as the caller promises.
    unsafe { (!*isnull).then(|| *values) }
}

/// A row's address.
///
/// # Safety
/// `tid` points to a valid item pointer.
pub unsafe fn tid_of(tid: pg_sys::ItemPointer) -> Tid {
    // SAFETY: as the caller promises.
    let (block, offset) = unsafe { itemptr::item_pointer_get_both(*tid) };
    Tid::new(block, offset)
}

thread_local! {
    /// The prepared value, the attributes and the item of the last row: a COPY allocates none of them for each.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    prepared: Prepared,
    keys: Vec<u64>,
    item: Vec<u8>,
}

/// # Safety
/// The values are those of a row of the index.
unsafe fn insert_value(
    index: Index,
    head: &Head,
    value: &Value<'_>,
    values: *const pg_sys::Datum,
    isnull: *const bool,
    tid: Tid,
) {
    let dims = value.dims();
    check_dims(index, head.space, head.dims, dims);
    // Not borrowed meanwhile: whatever raises an error leaves nothing but an allocation to be made again.
    let Scratch { mut prepared, mut keys, mut item } = SCRATCH.take();
    match value.prepare_to_store(index, head.space, head.columns as usize, &mut prepared) {
        Placement::Ranked => {
            // SAFETY: as the caller promises.
            unsafe { attributes::keys_of_row(index, values, isnull, &mut keys) };
            meta::check_columns(index, head.columns).or_raise(index);
            let layout = DeltaLayout::new(head.space, dims as usize, keys.len());
            layout.write(&mut item, tid, &keys, prepared.body(head.space));
            chain::append(index, head, Part::Delta, dims, &item);
            seal::seal_if_due(index, head);
        }
        placement => append_tid(index, head, Part::of(placement), dims, tid),
    }
    SCRATCH.set(Scratch { prepared, keys, item });
}

fn append_tid(index: Index, head: &Head, part: Part, dims: u32, tid: Tid) {
    let mut item = [0; Tid::SIZE];
    tid.write(&mut item);
    chain::append(index, head, part, dims, &item);
}
