//! Comparison: the functions behind `<`, `<=`, `=`, `<>`, `>=` and `>`, and the B-tree's.
//!
//! All three types compare as arrays do: element by element, and where one vector is the beginning of the other the shorter
//! one first. Vectors of any dimensions compare.

/// Defines the SQL functions of comparison for the argument type `$argument`, from `$compare`, which returns an `Ordering`.
macro_rules! comparison_functions {
    ($argument:ident, $compare:path, $lt:ident $le:ident $eq:ident $ne:ident $ge:ident $gt:ident $cmp:ident) => {
        /// Operator `<`
        #[pgrx::pg_extern(sql = false)]
        fn $lt(a: $argument<'_>, b: $argument<'_>) -> bool {
            $compare(a, b).is_lt()
        }

        /// Operator `<=`
        #[pgrx::pg_extern(sql = false)]
        fn $le(a: $argument<'_>, b: $argument<'_>) -> bool {
            $compare(a, b).is_le()
        }

        /// Operator `=`
        #[pgrx::pg_extern(sql = false)]
        fn $eq(a: $argument<'_>, b: $argument<'_>) -> bool {
            $compare(a, b).is_eq()
        }

        /// Operator `<>`
        #[pgrx::pg_extern(sql = false)]
        fn $ne(a: $argument<'_>, b: $argument<'_>) -> bool {
            $compare(a, b).is_ne()
        }

        /// Operator `>=`
        #[pgrx::pg_extern(sql = false)]
        fn $ge(a: $argument<'_>, b: $argument<'_>) -> bool {
            $compare(a, b).is_ge()
        }

        /// Operator `>`
        #[pgrx::pg_extern(sql = false)]
        fn $gt(a: $argument<'_>, b: $argument<'_>) -> bool {
            $compare(a, b).is_gt()
        }

        /// The comparison function of the B-tree operator class.
        #[pgrx::pg_extern(sql = false)]
        fn $cmp(a: $argument<'_>, b: $argument<'_>) -> i32 {
            $compare(a, b) as i32
        }
    };
}
pub(super) use comparison_functions;
