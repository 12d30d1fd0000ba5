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
        let mut planes = stream.planes();
        if self.leaf != Some(leaf) {
            self.leaf = None;
            reader.open(segment, &mut planes.coarse, leaf)?;
            self.leaf = Some(leaf);
        }
        let claims = reader.read(segment, &mut planes, ordinal)?;
        drop(stream);

        self.vector.clear();
        self.vector.extend(prepared.iter().map(|&x| f64::from(x)));
        let metric = segment.metric();
        let (sketch, off) = match segment.sketcher() {
            None => (None, 0.0),
            Some(mut sketcher) => {
                let (sketch, error) = sketcher.sketch(prepared);
                (Some(sketch.into_iter().map(f64::from).collect::<Vec<f64>>()), error)
            }
        };
        let coded = sketch.as_deref().unwrap_or(&self.vector);
        let is_within = |residual: f32, off: f64, lost: &mut dyn Iterator<Item = f64>| {
            let sum = lost.map(|lost| metric.term(lost)).sum();
            metric.of_sum(sum) <= f64::from(residual) * (1.0 + DOUBLE) + off + TINY
        };
        let codes = reader.coarse();
        if claims.fine.is_some_and(|fine| !is_within(fine, off, &mut codes.lost(coded))) {
            return Ok(Some("is farther from its fine code than the residual says"));
        }
        if !is_within(claims.coarse, off, &mut codes.coarse_lost(coded)) {
            return Ok(Some("is farther from its coarse code than the residual says"));
        }
        if !is_within(claims.whole, 0.0, &mut reader.vector.lost(&self.vector)) {
            return Ok(Some("is farther from its whole code than the residual says"));
        }
        let lengths = geometry.measure(segment, &self.vector, 0.0);
        Ok(geometry.contradiction(segment, leaf, &lengths))
    }
}
