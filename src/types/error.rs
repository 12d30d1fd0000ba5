//! Raising SQL errors: SQLSTATE, message and, where it helps, DETAIL.
//!
//! An error unwinds like a panic up to the wrapper of the SQL function, where it becomes a Postgres ERROR. The raising
//! functions return `!`, so that a check reads as one line and the compiler knows that nothing comes after it.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// What an error names as its function, beside file and line, when a client asks for its location.
const LIBRARY: &str = env!("CARGO_PKG_NAME");

/// Raises an ERROR with `code` and `message`.
#[cold]
#[track_caller]
pub fn raise(code: PgSqlErrorCode, message: impl Into<String>) -> ! {
    report(ErrorReport::new(code, message.into(), LIBRARY))
}

/// Raises an ERROR with `code`, `message` and a DETAIL line.
#[cold]
#[track_caller]
pub fn raise_with_detail(code: PgSqlErrorCode, message: impl Into<String>, detail: impl Into<String>) -> ! {
    report(ErrorReport::new(code, message.into(), LIBRARY).set_detail(detail))
}

/// Raises an ERROR with `code`, `message` and a HINT line.
#[cold]
#[track_caller]
pub fn raise_with_hint(code: PgSqlErrorCode, message: impl Into<String>, hint: impl Into<String>) -> ! {
    report(ErrorReport::new(code, message.into(), LIBRARY).set_hint(hint))
}

#[cold]
fn report(error: ErrorReport) -> ! {
    error.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}
