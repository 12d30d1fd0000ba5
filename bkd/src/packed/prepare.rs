//! Values in the form in which they are stored.

use crate::layout::packed::{bits_width, sparse_size, SparseBody};
use crate::metric::is_ranked_norm;
use crate::{Metric, Placement};

/// Writes what is stored of a bit string: `bytes` are its bits, the first one the highest of the first byte.
pub fn pack_bits(bytes: &[u8], packed: &mut Vec<u8>) {
    packed.clear();
    packed.extend_from_slice(bytes);
    packed.resize(bits_width(bytes.len() * 8), 0);
}

/// Says where a sparse vector belongs and writes what is stored of it: as many indices, ascending, as values, none of which is zero.
///
/// # Panics
/// If there are not as many.
pub fn pack_sparse(
    metric: Metric,
    indices: impl Iterator<Item = u32>,
    values: &[f32],
    packed: &mut Vec<u8>,
) -> Placement {
    packed.clear();
    packed.extend(indices.flat_map(u32::to_le_bytes));
    packed.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let body = SparseBody::of(packed).expect("as many indices as values");
    let norm = sparse_size(Metric::L2, body).sqrt();
    if metric == Metric::Cosine && norm == 0.0 {
        Placement::Nan
    } else if is_ranked_norm(norm, metric == Metric::Cosine) {
        Placement::Ranked
    } else {
        Placement::Unbounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_padded_to_words() {
        let mut packed = vec![9; 3];
        pack_bits(&[0x81, 0x40], &mut packed);
        assert_eq!(packed, [0x81, 0x40, 0, 0, 0, 0, 0, 0]);
        pack_bits(&[1; 8], &mut packed);
        assert_eq!(packed, [1; 8]);
    }

    #[test]
    fn sparse_vectors_have_places() {
        let mut packed = Vec::new();
        let mut place = |metric, elements: &[(u32, f32)]| {
            let values: Vec<f32> = elements.iter().map(|element| element.1).collect();
            pack_sparse(metric, elements.iter().map(|element| element.0), &values, &mut packed)
        };
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct, Metric::L1] {
            assert_eq!(place(metric, &[(3, 1.5), (8, -2.0)]), Placement::Ranked);
            assert_eq!(place(metric, &[(3, 1e38)]), Placement::Unbounded);
        }
        assert_eq!(place(Metric::L1, &[]), Placement::Ranked);
        assert_eq!(place(Metric::Cosine, &[]), Placement::Nan);
        assert_eq!(place(Metric::Cosine, &[(0, 1e-20)]), Placement::Unbounded);
        place(Metric::L2, &[(1, 2.0), (5, 3.0)]);
        let body = SparseBody::of(&packed).unwrap();
        assert_eq!(body.indices().collect::<Vec<_>>(), [1, 5]);
        assert_eq!(body.values().collect::<Vec<_>>(), [2.0, 3.0]);
    }
}
