//! Comparison: that of the dense vectors with the same elements.

use std::cmp::Ordering;

use super::merge::union;
use super::SparseArg;
use crate::types::compare::comparison_functions;

comparison_functions!(
    SparseArg, compare,
    sparsevec_lt sparsevec_le sparsevec_eq sparsevec_ne sparsevec_ge sparsevec_gt sparsevec_cmp
);

fn compare(a: SparseArg, b: SparseArg) -> Ordering {
    let (a, b) = (a.get(), b.get());
    let common_dims = a.dims().min(b.dims());
    let mut order = Ordering::Equal;
    union(&a, &b, |index, x, y| {
        let is_common = usize::try_from(index).is_ok_and(|index| index < common_dims);
        if is_common {
            order = x.partial_cmp(&y).expect("elements are never NaN");
        }
        is_common && order.is_eq()
    });
    let order = order.then(a.dims().cmp(&b.dims()));
    // A sort compares in a memory context that lasts as long as the sort.
    a.release();
    b.release();
    order
}
