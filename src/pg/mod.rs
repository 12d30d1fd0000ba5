//! Postgres' buffers, WAL, locks and errors as safe types. All the unsafe code of the access method that is not a
//! callback's signature lives here.
//!
//! Postgres raises errors by `longjmp`; pgrx turns them into panics at each call, so Rust destructors run. When they do,
//! the transaction is already being aborted, and Postgres itself gives back pins, locks and unfinished WAL records. So
//! every guard here follows one rule: **while a panic unwinds, `drop` does nothing**. (Releasing a lightweight lock
//! a second time would unbalance the count that holds interrupts off.) For the same reason no guard outlives
//! a call from the executor.

pub mod buffer;
pub mod free_space;
pub mod heap;
pub mod horizon;
pub mod index;
pub mod interrupts;
pub mod mark;
pub mod processors;
pub mod read_ahead;
pub mod report;
pub mod row_address;
pub mod structure_lock;
pub mod threads;
pub mod versions;
pub mod wal;
