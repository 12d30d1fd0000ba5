//! stub
#![allow(missing_docs)]
use crate::*;
pub struct Finding {
    pub sequence: Option<u32>,
    pub problem: String,
}
pub fn check_segment<S: PageRead>(_: &Segment, _: &S, _: &mut dyn FnMut(), _: &mut dyn FnMut(Finding)) {}
pub struct RowCheck<S>(S);
impl<S> RowCheck<S> {
    pub fn new(_: std::sync::Arc<Segment>, s: S) -> Self {
        RowCheck(s)
    }
    pub fn check(&mut self, _: u32, _: &[f32]) -> Result<Option<&'static str>> {
        let _ = &self.0;
        Ok(None)
    }
}
