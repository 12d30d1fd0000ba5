//! Whether a row that the executor puts in order again keeps its address, `ctid`.
//!
//! A row that a scan returns too early waits in a queue of the executor (`nodeIndexscan.c`), as a copy. In many releases of
//! PostgreSQL, 15.18, 16.14 and 18.4 among them, the copy comes out of the queue without its address: `SELECT ctid` shows nonsense, and
//! FOR UPDATE fails, "attempted to lock invisible tuple". GiST indexes have the same trouble. Instead of a list of releases, there is a
//! trial here, once in each backend.

use std::sync::OnceLock;

use pgrx::{itemptr, pg_sys};

/// Any address that is not the one of an empty slot.
const BLOCK: u32 = 1;
const OFFSET: u16 = 2;

static IS_KEPT: OnceLock<bool> = OnceLock::new();

/// Whether it does. Called on the main thread.
pub fn survives_reordering() -> bool {
    *IS_KEPT.get_or_init(|| {
        // SAFETY: a row without columns, put where the queue puts its rows; all is freed.
        unsafe {
            let descriptor = pg_sys::CreateTemplateTupleDesc(0);
            let row = pg_sys::heap_form_tuple(descriptor, std::ptr::null_mut(), std::ptr::null_mut());
            itemptr::item_pointer_set_all(&mut (*row).t_self, BLOCK, OFFSET);
            let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsBufferHeapTuple);
            pg_sys::ExecForceStoreHeapTuple(row, slot, true);
            let address = itemptr::item_pointer_get_both((*slot).tts_tid);
            pg_sys::ExecDropSingleTupleTableSlot(slot);
            pg_sys::FreeTupleDesc(descriptor);
            address == (BLOCK, OFFSET)
        }
    })
}
