//! Query cancellation.

/// Raises an ERROR if the query was cancelled or the backend is to end. With a page locked this does nothing: Postgres
/// holds interrupts off.
#[inline]
pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}
