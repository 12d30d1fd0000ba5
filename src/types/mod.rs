//! The SQL types and everything that is defined on them.

pub mod vector;
