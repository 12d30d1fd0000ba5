//! Functions of one vector.

use pgrx::pg_extern;

use super::{Sparse, SparseArg, SparseBuilder};
use crate::types::dense::arithmetic::check_overflow;
use crate::types::dense::functions::norm;

/// `l2_norm(sparsevec)`: the Euclidean norm.
#[pg_extern(sql = false)]
fn sparsevec_l2_norm(vector: SparseArg<'_>) -> f64 {
    norm(vector.get().values())
}

/// `l2_normalize(sparsevec)`: the vector of norm 1 in the same direction; a zero vector stays what it is. An element that
/// becomes zero is stored no longer.
#[pg_extern(sql = false)]
fn sparsevec_l2_normalize(vector: SparseArg<'_>) -> Sparse {
    let vector = vector.get();
    let norm = norm(vector.values());
    let mut unit = SparseBuilder::new(vector.dims(), vector.values().len());
    for (index, value) in vector.elements() {
        let value = (f64::from(value) / norm) as f32;
        check_overflow(&[value]);
        unit.push(index, value);
    }
    unit.finish()
}
