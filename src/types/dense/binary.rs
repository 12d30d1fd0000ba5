//! Binary form, as in `COPY ... (FORMAT binary)` and binary parameters, read and written by [`vector_format::binary`].

use vector_format::binary;

use super::{Dense, DenseArg, Element};
use crate::types::message::Message;
use crate::types::typmod::expected_dims;

/// Receives a vector.
pub fn receive<E: Element>(message: Message, typmod: i32) -> Dense<E> {
    let elements: Vec<E> = message.read(E::TYPE_NAME, |bytes| binary::parse(bytes, expected_dims(typmod)));
    Dense::from_slice(&elements)
}

/// Sends a vector.
pub fn send<E: Element>(vector: DenseArg<E>) -> Vec<u8> {
    binary::write(vector.get().as_slice())
}
