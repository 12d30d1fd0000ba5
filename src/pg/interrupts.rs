//! Query cancellation, and the pace of VACUUM.

use pgrx::pg_sys;

/// Raises an ERROR if the query was cancelled or the backend is to end. With a page locked this does nothing: Postgres
/// holds interrupts off.
#[inline]
pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}

/// The same; and in VACUUM sleeps as `vacuum_cost_delay` has it. With no page locked.
pub fn delay_point() {
    // SAFETY: on the main thread. Outside of VACUUM this only checks for interrupts.
    unsafe { pg_sys::vacuum_delay_point() }
}
