//! Cargo wants a target in every package; this one is there for its dependency alone.
