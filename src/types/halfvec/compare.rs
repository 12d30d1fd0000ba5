//! Comparison.

use super::HalfvecArg;
use crate::types::compare::comparison_functions;
use crate::types::dense::compare::compare;

comparison_functions!(
    HalfvecArg, compare,
    halfvec_lt halfvec_le halfvec_eq halfvec_ne halfvec_ge halfvec_gt halfvec_cmp
);
