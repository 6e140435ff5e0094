//! The layout of weights in published checkpoints, and ours.
//!
//! | parameter                     | published    | in memory    |
//! |-------------------------------|--------------|--------------|
//! | convolution weight            | [K, C, R, S] | [K, R, S, C] |
//! | `W` of a pointwise layer      | [C, K]       | [K, 1, 1, C] |
//! | everything else               | the same     | the same     |
//!
//! Names are the same, but for the `module.` that data-parallel training puts before each.

use crate::tensor::Tensor;

/// What data-parallel training puts before every name.
pub const DATA_PARALLEL: &str = "module.";

/// The name without the prefix of data-parallel training.
pub fn bare_name(name: &str) -> &str {
    name.strip_prefix(DATA_PARALLEL).unwrap_or(name)
}

/// A parameter as the networks keep it, from its published layout.
pub fn from_published(name: &str, value: &Tensor) -> Tensor {
    match *value.shape() {
        [_, _, _, _] => value.to_channels_last(),
        [c, k] if is_pointwise(name) => value.transpose([c, k], [k, 1, 1, c]),
        _ => value.clone(),
    }
}

/// A parameter in its published layout: the inverse of [`from_published`].
pub fn to_published(name: &str, value: &Tensor) -> Tensor {
    match *value.shape() {
        [k, 1, 1, c] if is_pointwise(name) => value.transpose([k, c], [c, k]),
        [_, _, _, _] => value.to_channels_first(),
        _ => value.clone(),
    }
}

/// The published shape of a parameter with this shape in memory.
pub fn published_shape(name: &str, shape: &[usize]) -> Vec<usize> {
    match *shape {
        [k, 1, 1, c] if is_pointwise(name) => vec![c, k],
        [k, r, s, c] => vec![k, c, r, s],
        _ => shape.to_vec(),
    }
}

/// The published pointwise layers call their weight `W`, everything else calls it `weight`.
fn is_pointwise(name: &str) -> bool {
    name.rsplit('.').next() == Some("W")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (name, shape) in [
            ("all_modules.3.Conv_0.weight", vec![2, 3, 5, 7]),
            ("all_modules.3.Conv_2.weight", vec![4, 3, 1, 1]),
            ("all_modules.8.NIN_0.W", vec![3, 5]),
            ("all_modules.0.W", vec![6]),
            ("all_modules.0.weight", vec![3, 5]),
        ] {
            let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
            let published = Tensor::from_f32(&values, shape.clone());
            let ours = from_published(name, &published);
            assert_eq!(published_shape(name, ours.shape()), shape, "{name}");
            let back = to_published(name, &ours);
            assert_eq!((back.shape(), back.to_f32()), (&shape[..], values), "{name}");
        }
    }

    #[test]
    fn pointwise_weights_are_transposed() {
        let ours = from_published("NIN_0.W", &Tensor::from_f32(&[1., 2., 3., 4., 5., 6.], [2, 3]));
        assert_eq!(ours.shape(), [3, 1, 1, 2]);
        assert_eq!(ours.to_f32(), [1., 4., 2., 5., 3., 6.]);
    }

    #[test]
    fn data_parallel_prefix() {
        assert_eq!(bare_name("module.z_transform.1.bias"), "z_transform.1.bias");
        assert_eq!(bare_name("z_transform.module.bias"), "z_transform.module.bias");
    }
}
