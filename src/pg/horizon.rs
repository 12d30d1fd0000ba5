//! When nobody can be reading any more what was replaced.
//!
//! Who replaces something notes the transaction id that was next at that moment. A scan that found the old state did so with a
//! snapshot that is not younger, and keeps the snapshot until it ends.

use pgrx::pg_sys;

use super::versions;

/// The next transaction id.
pub fn next_xid() -> u64 {
    // SAFETY: reads shared memory.
    unsafe { pg_sys::ReadNextFullTransactionId() }.value
}

/// Whether no snapshot that was taken before `xid` was next is left, be it of this backend.
pub fn is_before_all_snapshots(xid: u64) -> bool {
    // SAFETY: without a relation Postgres answers for all databases, which is the cautious answer.
    unsafe {
        pg_sys::GlobalVisCheckRemovableFullXid(std::ptr::null_mut(), pg_sys::FullTransactionId { value: xid })
    }
}

/// The same, leaving out this backend, which knows what itself is reading.
///
/// A transaction that writes holds back the horizon of [`is_before_all_snapshots`] until it ends: what a long COPY replaces would
/// pile up. Here only snapshots count, those of other backends in this database, and those that standbys report.
pub fn is_before_snapshots_of_others(xid: u64) -> bool {
    if is_before_all_snapshots(xid) {
        return true;
    }
    // What is left is within the horizon, so the lower half of the number tells it from others.
    let xid = pg_sys::TransactionId::from(xid as u32);
    !standbys_may_read(xid) && !backends_may_read(xid)
}

fn backends_may_read(xid: pg_sys::TransactionId) -> bool {
    // Neither plain VACUUM nor the safe kind of CREATE INDEX CONCURRENTLY scans indexes.
    let harmless = pg_sys::PROC_IN_VACUUM | pg_sys::PROC_IN_SAFE_IC;
    let mut count = 0;
    // SAFETY: a palloc'ed array, which is not looked at, and its length.
    unsafe {
        let backends = pg_sys::GetCurrentVirtualXIDs(xid, true, false, harmless as i32, &mut count);
        pg_sys::pfree(backends.cast());
    }
    count > 0
}

/// Whether a standby with `hot_standby_feedback` says that it needs rows of that age: in a replication slot, or through its WAL
/// sender.
fn standbys_may_read(xid: pg_sys::TransactionId) -> bool {
    let needs = |xmin: pg_sys::TransactionId| {
        // SAFETY: compares numbers.
        xmin != pg_sys::InvalidTransactionId && unsafe { pg_sys::TransactionIdPrecedesOrEquals(xmin, xid) }
    };
    let (mut xmin, mut catalog_xmin) = (pg_sys::InvalidTransactionId, pg_sys::InvalidTransactionId);
    // SAFETY: writes two numbers.
    unsafe { pg_sys::ProcArrayGetReplicationSlotXmin(&mut xmin, &mut catalog_xmin) };
    if needs(xmin) {
        return true;
    }
    // SAFETY: the array lives in shared memory for as long as the server. The two fields are read as Postgres reads them without
    // a lock; a WAL sender's xmin only moves forward while it matters here.
    unsafe {
        let procs = &*pg_sys::ProcGlobal;
        (0..procs.allProcCount as usize).any(|at| {
            let proc = procs.allProcs.add(at);
            versions::counts_everywhere(proc) && needs((&raw const (*proc).xmin).read_volatile())
        })
    }
}
