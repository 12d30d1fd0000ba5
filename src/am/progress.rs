//! Progress of CREATE INDEX, for `pg_stat_progress_create_index`.

use std::ffi::{c_char, CStr};

use pgrx::pg_sys;
use pgrx::prelude::*;

/// What a build is doing. The numbers are those of the view's sub-phases; Postgres itself sets the first.
#[derive(Clone, Copy)]
#[repr(i64)]
pub enum Phase {
    Initializing = pg_sys::PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE as i64,
    ScanningTable = 2,
    BuildingTree = 3,
    WritingLog = 4,
}

impl Phase {
    const ALL: [Phase; 4] =
        [Phase::Initializing, Phase::ScanningTable, Phase::BuildingTree, Phase::WritingLog];

    fn name(self) -> &'static CStr {
        match self {
            Phase::Initializing => c"initializing",
            Phase::ScanningTable => c"scanning table",
            Phase::BuildingTree => c"building tree",
            Phase::WritingLog => c"writing log",
        }
    }

    /// Says that the build is in this phase now.
    pub fn enter(self) {
        report(pg_sys::PROGRESS_CREATEIDX_SUBPHASE, self as i64);
    }
}

/// Vectors that trees are being built of, so far.
pub fn report_total(vectors: u64) {
    report(pg_sys::PROGRESS_CREATEIDX_TUPLES_TOTAL, vectors as i64);
}

/// Vectors done.
pub fn report_done(vectors: u64) {
    report(pg_sys::PROGRESS_CREATEIDX_TUPLES_DONE, vectors as i64);
}

fn report(parameter: u32, value: i64) {
    // SAFETY: writes this backend's status entry, on its main thread.
    unsafe { pg_sys::pgstat_progress_update_param(parameter as i32, value) }
}

/// `ambuildphasename`
///
/// # Safety
/// Called by Postgres.
#[pg_guard]
pub unsafe extern "C-unwind" fn build_phase_name(phase: i64) -> *mut c_char {
    let known = Phase::ALL.into_iter().find(|&known| known as i64 == phase);
    // Postgres does not write to the name.
    known.map_or(std::ptr::null_mut(), |known| known.name().as_ptr().cast_mut())
}
