//! What an operator class of `hnsw` or `ivfflat` orders by.
//!
//! Their rows in the catalogs are pgvector's to the last support function, so that a database of pgvector's can go over to this library
//! as it is. So they have no support function of ours that names a metric; the distance operator's own function does.

use std::ffi::CStr;

use bkd::Packing::{Bits, Sparse};
use bkd::Space::{self, Dense, Packed};
use bkd::{BitMetric, Metric};
use pgrx::prelude::*;
use pgrx::{pg_sys, Internal, PgSqlErrorCode};

use crate::am::opclass::{family_operators, DISTANCE_STRATEGY};
use crate::am::vector_type::VectorType::{self, Bit, Halfvec, Sparsevec, Vector};
use crate::pg::index::Index;
use crate::types::bit::distance as bit;
use crate::types::halfvec::distances as halfvec;
use crate::types::sparsevec::distance as sparsevec;
use crate::types::vector::distances as vector;

/// Space and type of an index of `hnsw` or `ivfflat`, if its operator is a distance that is served.
pub fn distance(index: Index) -> Option<(Space, VectorType)> {
    distance_of_family(index.column_family(0), index.column_type(0))
}

fn distance_of_family(family: pg_sys::Oid, input: pg_sys::Oid) -> Option<(Space, VectorType)> {
    let orders = |operator: &&pg_sys::FormData_pg_amop| {
        operator.amopstrategy == DISTANCE_STRATEGY as i16
            && (operator.amoplefttype, operator.amoprighttype) == (input, input)
    };
    let operators = family_operators(family);
    let operator = operators.iter().find(orders)?.amopopr;
    // SAFETY: catalog lookups; loading a function of SQL's is what calling it would do.
    let function = unsafe {
        let mut info = pg_sys::FmgrInfo::default();
        pg_sys::fmgr_info(pg_sys::get_opcode(operator), &mut info);
        info.fn_addr? as *const ()
    };
    let distances = [
        (vector::l2_distance::call as *const (), Dense(Metric::L2), Vector),
        (vector::vector_negative_inner_product::call as *const (), Dense(Metric::InnerProduct), Vector),
        (vector::cosine_distance::call as *const (), Dense(Metric::Cosine), Vector),
        (vector::l1_distance::call as *const (), Dense(Metric::L1), Vector),
        (halfvec::halfvec_l2_distance::call as *const (), Dense(Metric::L2), Halfvec),
        (halfvec::halfvec_negative_inner_product::call as *const (), Dense(Metric::InnerProduct), Halfvec),
        (halfvec::halfvec_cosine_distance::call as *const (), Dense(Metric::Cosine), Halfvec),
        (halfvec::halfvec_l1_distance::call as *const (), Dense(Metric::L1), Halfvec),
        (sparsevec::sparsevec_l2_distance::call as *const (), Packed(Sparse(Metric::L2)), Sparsevec),
        (
            sparsevec::sparsevec_negative_inner_product::call as *const (),
            Packed(Sparse(Metric::InnerProduct)),
            Sparsevec,
        ),
        (sparsevec::sparsevec_cosine_distance::call as *const (), Packed(Sparse(Metric::Cosine)), Sparsevec),
        (sparsevec::sparsevec_l1_distance::call as *const (), Packed(Sparse(Metric::L1)), Sparsevec),
        (bit::hamming_distance::call as *const (), Packed(Bits(BitMetric::Hamming)), Bit),
        (bit::jaccard_distance::call as *const (), Packed(Bits(BitMetric::Jaccard)), Bit),
    ];
    let found = distances.into_iter().find(|&(distance, ..)| std::ptr::eq(distance, function));
    found.map(|(_, space, vector_type)| (space, vector_type))
}

/// `amvalidate`: an operator class orders by one of our distances. Its support functions are pgvector's, and not used.
///
/// # Safety
/// Called by Postgres.
#[pg_guard]
pub unsafe extern "C-unwind" fn validate(opclass: pg_sys::Oid) -> bool {
    // SAFETY: catalog lookups.
    let (family, input) =
        unsafe { (pg_sys::get_opclass_family(opclass), pg_sys::get_opclass_input_type(opclass)) };
    let is_served = distance_of_family(family, input).is_some();
    if !is_served {
        // SAFETY: returns a NUL-terminated string in the current memory context.
        let name = unsafe { CStr::from_ptr(pg_sys::generate_opclass_name(opclass)) };
        ereport!(
            PgLogLevel::INFO,
            PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            format!(
                "operator class \"{}\" does not order by a distance that is served",
                name.to_string_lossy()
            )
        );
    }
    is_served
}

/// The functions by which pgvector's access methods learn how to treat a type. The engine has no need of them; they are here because operator
/// classes name them, so they must be there when a database of pgvector's goes over to this library.
macro_rules! type_support {
    ($($name:ident),*) => {
        $(
            #[pg_extern(sql = false)]
            fn $name(_fcinfo: pg_sys::FunctionCallInfo) -> Option<Internal> {
                None
            }
        )*
    };
}
type_support!(
    hnsw_halfvec_support,
    hnsw_bit_support,
    hnsw_sparsevec_support,
    ivfflat_halfvec_support,
    ivfflat_bit_support
);
