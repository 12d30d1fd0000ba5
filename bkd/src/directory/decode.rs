//! Decoding a directory from parts, the payloads of its pages: what is in front of many numbers by bincode and serde, the numbers themselves
//! by copying them from where they are.
//!
//! To put the parts together first took as long as all the rest: the system has to provide as much memory once more.

use std::ops::Deref;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::read::Reader;
use bincode::de::{Decode, Decoder, DecoderImpl};
use bincode::error::DecodeError;
use bincode::serde::Compat;
use serde::de::DeserializeOwned;

use super::floats::{self, SIZE};
use super::{Axes, BoxTable, CellTable, Directory, MAX_DECODED_BYTES};
use crate::{Error, Result};

type Decoded<T> = std::result::Result<T, DecodeError>;

/// Reads a directory of `length` bytes, without validating it.
pub(super) fn directory<P: Deref<Target = [u8]>>(
    length: usize,
    next: impl FnMut() -> Result<Option<P>>,
) -> Result<Directory> {
    let parts = Parts { next, current: None, at: 0, left: length, error: None };
    let config = bincode::config::standard().with_limit::<MAX_DECODED_BYTES>();
    let mut reading = Reading(DecoderImpl::new(parts, config, ()));
    let decoded = reading.directory();
    let parts = reading.0.reader();
    match (decoded, parts.error.take()) {
        (_, Some(error)) => Err(error),
        (Err(error), None) => Err(Error::corrupt(format!("segment directory: {error}"))),
        (Ok(_), None) if parts.left > 0 => {
            Err(Error::corrupt("segment directory is followed by other bytes"))
        }
        (Ok(directory), None) => Ok(directory),
    }
}

/// Bytes that come in parts.
struct Parts<P, F> {
    next: F,
    current: Option<P>,
    /// Bytes of it that were read.
    at: usize,
    /// Bytes that remain of all.
    left: usize,
    /// What `next` returned, for which bincode has no place.
    error: Option<Error>,
}

impl<P: Deref<Target = [u8]>, F: FnMut() -> Result<Option<P>>> Parts<P, F> {
    /// What remains of the current part.
    fn rest(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |part| &part[self.at..])
    }

    /// What remains of the current part, or the next one, up to `most` bytes; never nothing.
    fn some(&mut self, most: usize) -> Decoded<&[u8]> {
        if most > self.left {
            return Err(DecodeError::UnexpectedEnd { additional: most - self.left });
        }
        while self.rest().is_empty() {
            // Let go of the old one first.
            self.current = None;
            self.at = 0;
            match (self.next)() {
                Ok(Some(part)) => self.current = Some(part),
                Ok(None) => return Err(DecodeError::UnexpectedEnd { additional: self.left }),
                Err(error) => {
                    self.error = Some(error);
                    return Err(DecodeError::Other("part"));
                }
            }
        }
        let rest = self.rest();
        Ok(&rest[..most.min(rest.len())])
    }
}

impl<P: Deref<Target = [u8]>, F: FnMut() -> Result<Option<P>>> Reader for Parts<P, F> {
    fn read(&mut self, bytes: &mut [u8]) -> Decoded<()> {
        let mut into = bytes;
        while !into.is_empty() {
            let some = self.some(into.len())?;
            let (done, rest) = into.split_at_mut(some.len());
            done.copy_from_slice(some);
            let count = done.len();
            self.consume(count);
            into = rest;
        }
        Ok(())
    }

    fn peek_read(&mut self, count: usize) -> Option<&[u8]> {
        self.rest().get(..count.min(self.left)).filter(|bytes| bytes.len() == count)
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
        self.left -= count;
    }
}

/// A decoder of such bytes.
struct Reading<P, F>(DecoderImpl<Parts<P, F>, Settings, ()>)
where
    P: Deref<Target = [u8]>,
    F: FnMut() -> Result<Option<P>>;

type Settings = Configuration<LittleEndian, Varint, Limit<MAX_DECODED_BYTES>>;

impl<P: Deref<Target = [u8]>, F: FnMut() -> Result<Option<P>>> Reading<P, F> {
    /// What serde knows of.
    fn value<T: DeserializeOwned>(&mut self) -> Decoded<T> {
        Compat::decode(&mut self.0).map(|Compat(value)| value)
    }

    /// What [`floats::serialize`] wrote.
    fn floats(&mut self) -> Decoded<Vec<f32>> {
        let bytes = u64::decode(&mut self.0)?;
        let parts = self.0.reader();
        // Before memory is taken for them.
        let mut left = match usize::try_from(bytes) {
            Ok(bytes) if bytes <= parts.left => bytes,
            _ => return Err(DecodeError::LimitExceeded),
        };
        if !left.is_multiple_of(SIZE) {
            return Err(DecodeError::Other("the last number is incomplete"));
        }
        let mut numbers = Vec::with_capacity(left / SIZE);
        while left > 0 {
            let some = parts.some(left)?;
            let whole = some.len() / SIZE * SIZE;
            if whole > 0 {
                floats::extend(&mut numbers, &some[..whole]);
                parts.consume(whole);
                left -= whole;
            } else {
                let mut number = [0; SIZE];
                parts.read(&mut number)?;
                numbers.push(f32::from_le_bytes(number));
                left -= SIZE;
            }
        }
        Ok(numbers)
    }

    fn directory(&mut self) -> Decoded<Directory> {
        Ok(Directory {
            space: self.value()?,
            dims: self.value()?,
            max_norm: self.value()?,
            radius: self.value()?,
            axes: self.axes()?,
            sketch: self.value()?,
            leaves: self.boxes()?,
            cells: if self.value::<Option<()>>()?.is_some() { Some(self.cells()?) } else { None },
            attributes: self.value()?,
            extents: self.value()?,
        })
    }

    fn axes(&mut self) -> Decoded<Axes> {
        match self.value()? {
            0u32 => Ok(Axes::Own),
            1 => Ok(Axes::Principal { center: self.floats()?, rows: self.floats()? }),
            _ => Err(DecodeError::Other("unknown axes")),
        }
    }

    fn boxes(&mut self) -> Decoded<BoxTable> {
        Ok(BoxTable {
            vectors: self.value()?,
            low: self.floats()?,
            high: self.floats()?,
            beyond: self.floats()?,
        })
    }

    fn cells(&mut self) -> Decoded<CellTable> {
        let leaves = u64::decode(&mut self.0)?;
        let count = usize::try_from(leaves).unwrap_or(usize::MAX);
        self.0.claim_container_read::<BoxTable>(count)?;
        let mut boxes = Vec::new();
        for _ in 0..leaves {
            boxes.push(self.boxes()?);
        }
        Ok(CellTable { boxes, center: self.floats()?, spread: self.floats()?, calibration: self.value()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::attributes::Span;
    use crate::{AttributeTable, Calibration, Extent, Metric, Space};

    fn boxes(leaves: u32) -> BoxTable {
        let numbers = |count: u32| (0..count).map(|number| number as f32).collect::<Vec<_>>();
        BoxTable {
            vectors: (1..=leaves).collect(),
            low: numbers(2 * leaves),
            high: numbers(2 * leaves),
            beyond: numbers(leaves),
        }
    }

    fn example(cells: bool) -> Directory {
        let cells = cells.then(|| CellTable {
            boxes: (1..=3).map(|leaf| BoxTable { vectors: vec![leaf], ..boxes(1) }).collect(),
            center: vec![0.5; 6],
            spread: vec![1.0; 3],
            calibration: Calibration::default(),
        });
        let axes = Axes::Principal { center: vec![0.25; 3], rows: vec![0.5; 6] };
        Directory {
            space: Space::Dense(Metric::L1),
            dims: 3,
            max_norm: 7.0,
            radius: 300.5,
            axes: if cells.is_some() { axes } else { Axes::Own },
            sketch: cells.is_some().then_some(2),
            leaves: if cells.is_some() {
                boxes(3)
            } else {
                BoxTable { low: vec![0.0; 9], high: vec![1e9; 9], ..boxes(3) }
            },
            cells,
            attributes: AttributeTable::new(1, &[Span { least: 3, most: u64::MAX - 1, nulls: true }; 3]),
            extents: vec![Extent { start: 70_000, blocks: 2 }],
        }
    }

    fn in_parts(bytes: &[u8], length: usize) -> Result<Directory> {
        let mut parts = bytes.chunks(length);
        directory(bytes.len(), || Ok(parts.next()))
    }

    #[test]
    fn parts_may_be_of_any_length() {
        for cells in [false, true] {
            let honest = example(cells);
            let bytes = honest.encode().unwrap();
            for length in 1..=bytes.len() {
                assert_eq!(in_parts(&bytes, length), Ok(honest.clone()), "{length}");
            }
            for end in 0..bytes.len() {
                assert!(matches!(in_parts(&bytes[..end], 7), Err(Error::Corrupt(_))), "{end}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(matches!(in_parts(&longer, 64), Err(Error::Corrupt(_))));
            let missing = directory(bytes.len() + 1, || Ok(None::<&[u8]>));
            assert!(matches!(missing, Err(Error::Corrupt(_))));
        }
    }

    #[test]
    fn what_a_part_cannot_be_read_for_is_told() {
        let bytes = example(true).encode().unwrap();
        let mut parts = bytes.chunks(40).map(Ok).take(3).chain([Err(Error::corrupt("block 7"))]);
        let read = directory(bytes.len(), || parts.next().transpose());
        assert_eq!(read, Err(Error::corrupt("block 7")));
    }

    #[test]
    fn no_memory_is_taken_for_numbers_that_are_not_there() {
        let mut bytes = Vec::new();
        bytes.extend([0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        // Eight bytes of length.
        bytes.push(253);
        bytes.extend(u64::to_le_bytes(1 << 40));
        assert!(matches!(in_parts(&bytes, 64), Err(Error::Corrupt(_))));
    }
}
