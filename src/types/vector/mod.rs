//! The type `vector`.
