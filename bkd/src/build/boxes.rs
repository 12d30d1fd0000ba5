//! The boxes of leaves and cells.

use super::{ahead, Coordinates, Input};
use crate::kernels::Kernels;
use crate::query::round_up;
use crate::BoxTable;

/// Where some vectors lie on the axes, and how far they extend beyond these.
pub(super) struct BoundingBox {
    vectors: u32,
    low: Vec<f32>,
    high: Vec<f32>,
    beyond: f32,
}

impl BoundingBox {
    /// The smallest around these vectors, of which there is at least one.
    pub(super) fn around(input: &Input<'_>, coordinates: &Coordinates<'_>, ids: &[u32]) -> Self {
        let mut low = coordinates.of(ids[0]).to_vec();
        let mut high = low.clone();
        let (mut slack, mut beyond) = (0f32, 0f32);
        let floats = Kernels::get().floats();
        for (&id, point) in ids.iter().zip(ahead::coordinates(coordinates, ids)) {
            floats.widen(point, &mut low, &mut high);
            slack = slack.max(input.slack(id));
            beyond = beyond.max(coordinates.beyond(id));
        }
        if slack > 0.0 {
            low.iter_mut().for_each(|x| *x = -round_up(f64::from(slack) - f64::from(*x)));
            high.iter_mut().for_each(|x| *x = round_up(f64::from(slack) + f64::from(*x)));
        }
        BoundingBox { vectors: ids.len() as u32, low, high, beyond }
    }
}

/// Puts boxes on so many axes in the order of the directory.
pub(super) fn table(boxes: &[BoundingBox], axes: usize) -> BoxTable {
    let by_axis = |of: fn(&BoundingBox) -> &[f32]| -> Vec<f32> {
        (0..axes).flat_map(|axis| boxes.iter().map(move |each| of(each)[axis])).collect()
    };
    BoxTable {
        low: by_axis(|each| &each.low),
        high: by_axis(|each| &each.high),
        vectors: boxes.iter().map(|each| each.vectors).collect(),
        beyond: boxes.iter().map(|each| each.beyond).collect(),
    }
}
