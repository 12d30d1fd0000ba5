//! Rows against what the index says of them.

use std::sync::Arc;

use super::geometry::{Geometry, DOUBLE, TINY};
use crate::attributes::row_keys;
use crate::decode::LeafReader;
use crate::search::Stream;
use crate::{Error, PageRead, Result, Segment};

/// Compares rows of a segment with their codes, in any order.
pub struct RowCheck<S> {
    segment: Arc<Segment>,
    store: S,
    reader: LeafReader,
    geometry: Geometry,
    /// The leaf that the reader has open.
    leaf: Option<usize>,
    vector: Vec<f64>,
}

impl<S: PageRead> RowCheck<S> {
    /// For the rows of a segment. No page is held between calls.
    pub fn new(segment: Arc<Segment>, store: S) -> Self {
        let (reader, geometry) = (LeafReader::new(&segment), Geometry::new(&segment));
        RowCheck { segment, store, reader, geometry, leaf: None, vector: Vec::new() }
    }

    /// The keys of the attributes at a position in the segment.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a page is not what it should be, or the segment has no such position.
    pub fn keys(&self, ordinal: u32) -> Result<Vec<u64>> {
        if ordinal >= self.segment.vectors() {
            return Err(Error::corrupt(format!("segment has no vector {ordinal}")));
        }
        row_keys(&self.segment, &self.store, ordinal)
    }

    /// What is wrong with the codes at a position in the segment, if they should be those of this vector, which is as
    /// [`crate::prepare`] returned it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a page is not what it should be, or the segment has no such position.
    pub fn check(&mut self, ordinal: u32, prepared: &[f32]) -> Result<Option<&'static str>> {
        let segment = &*self.segment;
        if ordinal >= segment.vectors() || prepared.len() != segment.dims() {
            return Err(Error::corrupt(format!(
                "segment has no vector {ordinal} of {} dimensions",
                prepared.len()
            )));
        }
        let leaf = segment.leaf_of(ordinal);
        let mut stream = Stream::new(segment, &self.store);
        let (mut coarse, mut fine) = stream.split();
        if self.leaf != Some(leaf) {
            self.leaf = None;
            self.reader.open(segment, &mut coarse, leaf)?;
            self.leaf = Some(leaf);
        }
        let claims = self.reader.read(segment, &mut coarse, &mut fine, ordinal)?;
        drop(stream);

        self.vector.clear();
        self.vector.extend(prepared.iter().map(|&x| f64::from(x)));
        let metric = segment.directory().metric;
        let (mut from_coarse, mut from_fine) = (0.0, 0.0);
        let grid = self.reader.low.iter().zip(&self.reader.step);
        for (x, ((&low, &step), &code)) in self.vector.iter().zip(grid.zip(&self.reader.codes)) {
            let (from_low, step) = (x - f64::from(low), f64::from(step));
            from_coarse += metric.term(from_low - step * (f64::from(code & 0xf0) + 7.5));
            from_fine += metric.term(from_low - step * f64::from(code));
        }
        let within =
            |sum: f64, residual: f32| metric.of_sum(sum) <= f64::from(residual) * (1.0 + DOUBLE) + TINY;
        if !within(from_fine, claims.fine) {
            return Ok(Some("is farther from its fine code than the residual says"));
        }
        if !within(from_coarse, claims.coarse) {
            return Ok(Some("is farther from its coarse code than the residual says"));
        }
        let lengths = self.geometry.measure(segment, &self.vector, 0.0);
        Ok(self.geometry.contradiction(segment, leaf, &lengths))
    }
}
