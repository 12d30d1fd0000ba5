//! Rows against what the index says of them.

use std::sync::Arc;

use super::geometry::{Geometry, DOUBLE, TINY};
use crate::attributes::row_keys;
use crate::decode::LeafReader;
use crate::search::Stream;
use crate::{packed, Body, Error, PageRead, Result, Segment};

/// Compares rows of a segment with their codes, in any order.
pub struct RowCheck<S> {
    segment: Arc<Segment>,
    store: S,
    /// Of coded vectors.
    codes: Option<(LeafReader, Geometry)>,
    /// The leaf that the reader has open.
    leaf: Option<usize>,
    vector: Vec<f64>,
}

impl<S: PageRead> RowCheck<S> {
    /// For the rows of a segment. No page is held between calls.
    pub fn new(segment: Arc<Segment>, store: S) -> Self {
        let is_coded = segment.packed().is_none();
        let codes = is_coded.then(|| (LeafReader::new(&segment), Geometry::new(&segment)));
        RowCheck { segment, store, codes, leaf: None, vector: Vec::new() }
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

    /// What is wrong at a position in the segment, if this value should be there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a page is not what it should be, or the segment has no such position.
    pub fn check(&mut self, ordinal: u32, body: Body<'_>) -> Result<Option<&'static str>> {
        match (body, self.segment.packed()) {
            (Body::Dense(prepared), None) => self.check_codes(ordinal, prepared),
            (Body::Packed(body), Some(layout)) if ordinal < self.segment.vectors() => {
                packed::check::check_row(&self.segment, layout, &self.store, ordinal, body)
            }
            _ => Err(Error::corrupt(format!("segment has no value {ordinal} of this form"))),
        }
    }

    fn check_codes(&mut self, ordinal: u32, prepared: &[f32]) -> Result<Option<&'static str>> {
        let segment = &*self.segment;
        let (reader, geometry) = self.codes.as_mut().expect("vectors are coded");
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
            reader.open(segment, &mut coarse, leaf)?;
            self.leaf = Some(leaf);
        }
        let claims = reader.read(segment, &mut coarse, &mut fine, ordinal)?;
        drop(stream);

        self.vector.clear();
        self.vector.extend(prepared.iter().map(|&x| f64::from(x)));
        let metric = segment.metric();
        let (mut from_coarse, mut from_fine) = (0.0, 0.0);
        let grid = reader.low.iter().zip(&reader.step);
        for (x, ((&low, &step), &code)) in self.vector.iter().zip(grid.zip(&reader.codes)) {
            let (from_low, step) = (x - f64::from(low), f64::from(step));
            from_coarse += metric.term(from_low - step * (f64::from(code & 0xf0) + 7.5));
            from_fine += metric.term(from_low - step * f64::from(code));
        }
        let mut off = 0.0;
        if let Some((codes, mut sketcher)) = reader.sketch.as_ref().zip(segment.sketcher()) {
            let (sketch, error) = sketcher.sketch(prepared);
            from_coarse = codes.decoded().zip(sketch).map(|(x, y)| (x - f64::from(y)).powi(2)).sum();
            off = error;
        }
        let within = |sum: f64, residual: f32, off: f64| {
            metric.of_sum(sum) <= f64::from(residual) * (1.0 + DOUBLE) + off + TINY
        };
        if !within(from_fine, claims.fine, 0.0) {
            return Ok(Some("is farther from its fine code than the residual says"));
        }
        if !within(from_coarse, claims.coarse, off) {
            return Ok(Some("is farther from its coarse code than the residual says"));
        }
        let lengths = geometry.measure(segment, &self.vector, 0.0);
        Ok(geometry.contradiction(segment, leaf, &lengths))
    }
}
