//! Query cancellation, and the pace of VACUUM.

use super::versions;

/// Raises an ERROR if the query was cancelled or the backend is to end. With a page locked this does nothing: Postgres
/// holds interrupts off.
#[inline]
pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}

/// The same; and in VACUUM sleeps as `vacuum_cost_delay` has it. With no page locked.
pub fn delay_point() {
    versions::vacuum_delay_point();
}
