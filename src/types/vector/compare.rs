//! Comparison.

use super::VectorArg;
use crate::types::compare::comparison_functions;
use crate::types::dense::compare::compare;

comparison_functions!(
    VectorArg, compare,
    vector_lt vector_le vector_eq vector_ne vector_ge vector_gt vector_cmp
);
