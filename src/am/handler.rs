//! The access method's description of itself.

use pgrx::prelude::*;
use pgrx::{pg_sys, AllocatedByRust, Internal, PgBox};

use super::{build, cost, insert, opclass, options, progress, scan, vacuum, validate};

#[pg_extern(sql = false)]
fn kdtree_handler(_fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    finish(routine())
}

/// Hands a description to Postgres.
pub fn finish(am: Routine) -> Internal {
    Internal::from(Some(am.into_pg_boxed().into_pg().into()))
}

/// A description of an access method.
pub type Routine = PgBox<pg_sys::IndexAmRoutine, AllocatedByRust>;

/// What this access method is. Those that go by other names ([`super::pgvector`]) differ in a few fields.
pub fn routine() -> Routine {
    // SAFETY: allocates a node of the size that belongs to the tag.
    let mut am = unsafe { PgBox::<pg_sys::IndexAmRoutine>::alloc_node(pg_sys::NodeTag::T_IndexAmRoutine) };
    am.amstrategies = opclass::LAST_STRATEGY;
    am.amsupport = opclass::LAST_PROC;
    am.amcanorderbyop = true;
    // A vector, and what rows can be filtered by.
    am.amcanmulticol = true;
    am.amsearcharray = true;
    // A search condition or an order, or both. With neither the cost is prohibitive.
    am.amoptionalkey = true;
    am.amusemaintenanceworkmem = true;
    // Cleanup seals and merges, which is worth a worker of its own, as for GIN.
    am.amparallelvacuumoptions =
        (pg_sys::VACUUM_OPTION_PARALLEL_BULKDEL | pg_sys::VACUUM_OPTION_PARALLEL_CLEANUP) as u8;

    am.ambuild = Some(build::build);
    am.ambuildempty = Some(build::build_empty);
    am.aminsert = Some(insert::insert);
    am.ambulkdelete = Some(vacuum::bulk_delete);
    am.amvacuumcleanup = Some(vacuum::cleanup);
    am.amcostestimate = Some(cost::estimate);
    am.amoptions = Some(options::options);
    am.amproperty = Some(validate::property);
    am.ambuildphasename = Some(progress::build_phase_name);
    am.amvalidate = Some(validate::validate);
    am.ambeginscan = Some(scan::begin);
    am.amrescan = Some(scan::rescan);
    am.amgettuple = Some(scan::next);
    am.amgetbitmap = Some(scan::bitmap);
    am.amendscan = Some(scan::end);
    am
}
