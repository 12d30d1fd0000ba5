//! Values of the indexed column: read from datums, and in the form in which the index keeps them.

use bkd::layout::chain::DeltaLayout;
use bkd::layout::meta::Meta;
use bkd::layout::packed::{PackedLayout, MAX_BITS, MAX_ELEMENTS};
use bkd::{pack_bits, pack_sparse, prepare, Body, Packing, Placement, Space};
use pgrx::{pg_sys, PgSqlErrorCode};

use super::vector_type::VectorType;
use crate::pg::index::Index;
use crate::types::bit::BitsRef;
use crate::types::dense::casts::to_numbers;
use crate::types::error::{raise, raise_with_detail};
use crate::types::halfvec::HalfvecRef;
use crate::types::sparsevec::SparseRef;
use crate::types::vector::VectorRef;

/// A value of a type that can be indexed.
pub enum Value<'a> {
    Vector(VectorRef<'a>),
    /// The numbers of a `halfvec`.
    Halves(Vec<f32>),
    Bits(BitsRef<'a>),
    Sparse(SparseRef<'a>),
}

impl<'a> Value<'a> {
    /// Reads a datum.
    ///
    /// # Safety
    /// It is of that type, not NULL, and lives for `'a`.
    #[inline]
    pub unsafe fn from_datum(vector_type: VectorType, datum: pg_sys::Datum) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            match vector_type {
                VectorType::Vector => Value::Vector(VectorRef::from_datum(datum)),
                VectorType::Halfvec => {
                    let vector = HalfvecRef::from_datum(datum);
                    let numbers = to_numbers(vector.as_slice());
                    vector.release();
                    Value::Halves(numbers)
                }
                VectorType::Bit => Value::Bits(BitsRef::from_datum(datum)),
                VectorType::Sparsevec => Value::Sparse(SparseRef::from_datum(datum)),
            }
        }
    }

    /// The numbers of a dense vector.
    pub fn numbers(&self) -> Option<&[f32]> {
        match self {
            Value::Vector(vector) => Some(vector.as_slice()),
            Value::Halves(numbers) => Some(numbers),
            Value::Bits(_) | Value::Sparse(_) => None,
        }
    }

    /// Dimensions, or bits.
    pub fn dims(&self) -> u32 {
        match self {
            Value::Vector(vector) => vector.as_slice().len() as u32,
            Value::Halves(numbers) => numbers.len() as u32,
            Value::Bits(bits) => bits.len() as u32,
            Value::Sparse(vector) => vector.dims() as u32,
        }
    }

    /// Says where the value belongs and writes what is stored of it, if that is among the ranked.
    pub fn prepare(&self, space: Space, prepared: &mut Prepared) -> Placement {
        match (self, space) {
            (Value::Vector(vector), Space::Dense(metric)) => {
                prepare(metric, vector.as_slice(), &mut prepared.vector)
            }
            (Value::Halves(numbers), Space::Dense(metric)) => prepare(metric, numbers, &mut prepared.vector),
            (Value::Bits(bits), Space::Packed(Packing::Bits(_))) => {
                pack_bits(bits.as_bytes(), &mut prepared.packed);
                Placement::Ranked
            }
            (Value::Sparse(vector), Space::Packed(Packing::Sparse(metric))) => {
                let indices = vector.indices().iter().map(|&index| index as u32);
                pack_sparse(metric, indices, vector.values(), &mut prepared.packed)
            }
            _ => unreachable!("a value is of the form that its space has"),
        }
    }

    /// The same for a value that is to be stored beside so many attributes; raises an error if that cannot be.
    pub fn prepare_to_store(
        &self,
        index: Index,
        space: Space,
        columns: usize,
        prepared: &mut Prepared,
    ) -> Placement {
        match self {
            Value::Vector(_) | Value::Halves(_) => {}
            Value::Bits(bits) => check_bits(bits.len()),
            Value::Sparse(vector) => check_elements(vector.indices().len()),
        }
        let placement = self.prepare(space, prepared);
        if let Space::Packed(packing) = space {
            let dims = self.dims() as usize;
            // The rest of what searches rely on, and nobody has checked so far.
            if !PackedLayout::new(packing, dims).is_body(&prepared.packed) {
                raise(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, "value to be indexed contradicts itself");
            }
            check_fits(index, DeltaLayout::new(space, dims, columns), prepared.packed.len());
        }
        placement
    }

    /// Frees what was copied to read it.
    pub fn release(self) {
        match self {
            Value::Vector(vector) => vector.release(),
            Value::Halves(_) => {}
            Value::Bits(bits) => bits.release(),
            Value::Sparse(vector) => vector.release(),
        }
    }
}

/// What is stored of a value.
#[derive(Default, PartialEq)]
pub struct Prepared {
    vector: Vec<f32>,
    packed: Vec<u8>,
}

impl Prepared {
    /// The form that the space has.
    pub fn body(&self, space: Space) -> Body<'_> {
        match space {
            Space::Dense(_) => Body::Dense(&self.vector),
            Space::Packed(_) => Body::Packed(&self.packed),
        }
    }
}

fn check_bits(bits: usize) {
    if bits == 0 {
        raise(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION, "bit string to be indexed must have at least 1 bit");
    }
    if bits > MAX_BITS {
        raise(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("bit string cannot have more than {MAX_BITS} bits for a kdtree index"),
        );
    }
}

fn check_elements(elements: usize) {
    if elements > MAX_ELEMENTS {
        raise(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("sparsevec cannot have more than {MAX_ELEMENTS} non-zero elements for a kdtree index"),
        );
    }
}

fn check_fits(index: Index, layout: DeltaLayout, bytes: usize) {
    let largest = layout.largest_body().unwrap_or(usize::MAX);
    if bytes > largest {
        raise_with_detail(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("value is too large for index \"{}\"", index.name()),
            format!("It takes {bytes} bytes; a page has room for {largest} beside the columns to filter by."),
        );
    }
}

/// Raises an error if the column of a new index, of so many dimensions if that is known, cannot be indexed.
pub fn check_column(index: Index, space: Space, dims: u32, columns: usize) {
    if let (Space::Packed(packing @ Packing::Bits(_)), 1..) = (space, dims) {
        let dims = dims as usize;
        check_bits(dims);
        let width = PackedLayout::new(packing, dims).width();
        check_fits(index, DeltaLayout::new(space, dims, columns), width);
    }
}

/// Raises the error of the type's own functions if the values of an index and a query differ in their dimensions.
pub fn check_same_dims(meta: &Meta, query: u32) {
    if meta.dims != 0 && meta.dims != query {
        let name = VectorType::from_code(meta.input).map_or("vector", VectorType::name);
        let what = if name == VectorType::Bit.name() { "lengths" } else { "dimensions" };
        raise(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("different {name} {what} {} and {query}", meta.dims),
        );
    }
}

/// Raises pgvector's error unless values of so many dimensions belong into the index. 0 stands for dimensions that are not known
/// yet, and for those of a NULL.
pub fn check_dims(index: Index, space: Space, expected: u32, dims: u32) {
    if expected != 0 && dims != 0 && expected != dims {
        let (what, values) = match space {
            Space::Dense(_) | Space::Packed(Packing::Sparse(_)) => ("dimensions", "vectors"),
            Space::Packed(Packing::Bits(_)) => ("bits", "bit strings"),
        };
        raise_with_detail(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("expected {expected} {what}, not {dims}"),
            format!("All {values} of index \"{}\" have {expected} {what}.", index.name()),
        );
    }
}
