//! The weights of a model as a file, and the sum by which two of them are told apart.

use crate::model::Tensors;
use anyhow::Result;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

/// All `tensors` and how pixels are normalised, (pixel - `input.mean`) * `input.scale`, in the safetensors format.
pub fn safetensors(tensors: Tensors, (mean, scale): (&[f32], &[f32])) -> Result<Vec<u8>> {
    let mut named: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, value) in tensors {
        named.push((name, value.shape().extents().to_vec(), little_endian(value.values())));
    }
    for (name, values) in [("input.mean", mean), ("input.scale", scale)] {
        named.push((name.into(), vec![values.len()], little_endian(values)));
    }
    let views = named
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// The SHA-256 of all parameters, one after the other, as little-endian `f32`.
pub fn sha256(tensors: &Tensors) -> String {
    let mut hash = Sha256::new();
    for (_, tensor) in tensors {
        hash.update(little_endian(tensor.values()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
