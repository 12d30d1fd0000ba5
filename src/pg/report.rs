//! Errors of the engine as Postgres errors.

use bkd::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_sys, PgLogLevel, PgSqlErrorCode};

use super::index::Index;

/// Raises an ERROR with everything that a user may want to know.
#[cold]
#[track_caller]
pub fn raise_with_hint(
    code: PgSqlErrorCode,
    message: impl Into<String>,
    detail: impl Into<String>,
    hint: impl Into<String>,
) -> ! {
    ErrorReport::new(code, message.into(), "").set_detail(detail).set_hint(hint).report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// What to do with an engine error that concerns an index.
pub trait OrRaise<T> {
    /// The value, or the error as a Postgres ERROR that names the index.
    fn or_raise(self, index: Index) -> T;
}

impl<T> OrRaise<T> for bkd::Result<T> {
    #[inline]
    #[track_caller]
    fn or_raise(self, index: Index) -> T {
        match self {
            Ok(value) => value,
            Err(error) => raise_engine_error(index, error),
        }
    }
}

#[cold]
#[track_caller]
fn raise_engine_error(index: Index, error: Error) -> ! {
    let name = index.name();
    match error {
        // On a standby, the primary's VACUUM or sealing may recycle pages under a scan: WAL of extensions has no conflict records.
        // Page owners are checked, so the scan notices.
        Error::Recycled(what) if in_recovery() => raise_with_hint(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            format!("index \"{name}\" changed while it was being read on a standby"),
            what,
            "Run the query again. Setting hot_standby_feedback avoids this. If it happens always, REINDEX the index on the primary.",
        ),
        Error::Corrupt(what) | Error::Recycled(what) => raise_with_hint(
            PgSqlErrorCode::ERRCODE_INDEX_CORRUPTED,
            format!("index \"{name}\" is corrupted"),
            what,
            "Please REINDEX it.",
        ),
        Error::Version(_) => raise_with_hint(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("index \"{name}\" was built by another version of kdtree"),
            error.to_string(),
            "Please REINDEX it, or install the version that built it.",
        ),
        Error::Foreign(_) => raise_with_hint(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("index \"{name}\" was built by pgvector"),
            error.to_string(),
            "Please REINDEX it.",
        ),
        Error::TooLarge(what) => crate::types::error::raise_with_detail(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("index \"{name}\" cannot hold this"),
            what,
        ),
        Error::OutOfMemory(bytes) => crate::types::error::raise_with_detail(
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            "out of memory",
            format!("Failed on request of {bytes} bytes while building index \"{name}\"."),
        ),
        // Only an interrupt cancels the engine's work, and that raises an error of its own.
        Error::Cancelled => unreachable!("the engine was cancelled without an error"),
    }
}

/// Whether this server is a standby, or not yet at the end of its recovery.
pub fn in_recovery() -> bool {
    // SAFETY: reads shared memory that every backend is attached to.
    unsafe { pg_sys::RecoveryInProgress() }
}
