//! Parameters to and from files in the safetensors format. Needs the feature `safetensors`.
//!
//! ```
//! use lanegrad::{checkpoint, tape::Tape, tensor::Tensor};
//! let mut trained = Tape::<f32>::new();
//! trained.parameter("w", &Tensor::ones([2, 3])?)?;
//! let bytes = checkpoint::serialize(&trained)?;
//!
//! let mut fresh = Tape::<f32>::new();
//! let w = fresh.parameter("w", &Tensor::zeros([2, 3])?)?;
//! checkpoint::deserialize(&mut fresh, &bytes)?;
//! assert_eq!(fresh.value(w)?, Tensor::ones([2, 3])?);
//! # Ok::<(), lanegrad::Error>(())
//! ```
//!
//! A file has every parameter and buffer of a tape under its name, with its shape, in the tape's type (F32 or F64), and nothing
//! else. What is read must agree in all of that: nothing is converted, skipped or left as it was.

use crate::error::{Error, TensorProblem};
use crate::shape::Shape;
use crate::tape::Tape;
use lanegrad_kernels::isa::Scalar;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// A parameter or buffer: its name, its shape, and where it lies in the flat parameters.
type Entry = (String, Shape, Range<usize>);

fn entries<T: Scalar>(tape: &Tape<T>) -> Vec<Entry> {
    let mut entries = Vec::new();
    tape.for_each_parameter(|info| entries.push((info.name.to_owned(), info.shape.clone(), info.range)));
    entries
}

fn dtype<T: Scalar>() -> Dtype {
    if size_of::<T>() == size_of::<f32>() { Dtype::F32 } else { Dtype::F64 }
}

fn to_bytes<T: Scalar>(values: &[T]) -> Vec<u8> {
    match dtype::<T>() {
        Dtype::F32 => values.iter().flat_map(|x| (x.to_f64() as f32).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| x.to_f64().to_le_bytes()).collect(),
    }
}

fn from_bytes<T: Scalar>(bytes: &[u8], values: &mut [T]) {
    match dtype::<T>() {
        Dtype::F32 => read(bytes, values, |bytes| f32::from_le_bytes(bytes).into()),
        _ => read(bytes, values, f64::from_le_bytes),
    }
}

fn read<T: Scalar, const N: usize>(bytes: &[u8], values: &mut [T], number: impl Fn([u8; N]) -> f64) {
    let (numbers, _) = bytes.as_chunks::<N>();
    values.iter_mut().zip(numbers).for_each(|(value, &bytes)| *value = T::from_f64(number(bytes)));
}

/// The bytes of a file with all parameters and buffers.
///
/// # Errors
/// [`Error::Format`] if the format cannot hold them.
pub fn serialize<T: Scalar>(tape: &Tape<T>) -> Result<Vec<u8>, Error> {
    let entries = entries(tape);
    let bytes: Vec<Vec<u8>> =
        tape.look_at_parameters(|values| entries.iter().map(|(.., range)| to_bytes(&values[range.clone()])).collect())?;
    let views = entries.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        Ok((name.as_str(), TensorView::new(dtype::<T>(), shape.extents().to_vec(), bytes).map_err(format)?))
    });
    let views = views.collect::<Result<Vec<_>, Error>>()?;
    safetensors::serialize(views, None).map_err(format)
}

/// Replaces all parameters and buffers by those in the bytes of a file; see [`Tape::parameters_mut`].
///
/// # Errors
/// [`Error::Format`] if it is no such file, [`Error::Tensor`] if a tensor is missing, not known, or of another shape or type.
/// Nothing is changed then.
pub fn deserialize<T: Scalar>(tape: &mut Tape<T>, bytes: &[u8]) -> Result<(), Error> {
    let file = SafeTensors::deserialize(bytes).map_err(format)?;
    let entries = entries(tape);
    let refuse = |name: &str, problem| Err(Error::Tensor { name: name.to_owned(), problem });
    let mut found = Vec::with_capacity(entries.len());
    for (name, shape, range) in &entries {
        let Ok(tensor) = file.tensor(name) else {
            return refuse(name, TensorProblem::Missing);
        };
        if tensor.shape() != shape.extents() {
            let problem = TensorProblem::Shape { expected: shape.clone(), found: Shape::new(tensor.shape()) };
            return refuse(name, problem);
        }
        if tensor.dtype() != dtype::<T>() {
            let [expected, found] = [dtype::<T>(), tensor.dtype()].map(|dtype| format!("{dtype:?}"));
            return refuse(name, TensorProblem::Type { expected, found });
        }
        found.push((tensor, range.clone()));
    }
    let mut names = file.names();
    names.sort_unstable();
    if let Some(unknown) = names.into_iter().find(|&name| !entries.iter().any(|(known, ..)| known == name)) {
        return refuse(unknown, TensorProblem::Unknown);
    }
    let values = tape.parameters_mut();
    found.into_iter().for_each(|(tensor, range)| from_bytes(tensor.data(), &mut values[range]));
    Ok(())
}

/// Writes a file with all parameters and buffers: first under the name with `.partial` after it, so that under its own the
/// file is whole or what it was before.
///
/// # Errors
/// Those of [`serialize`]; [`Error::Write`] if the system refuses.
pub fn save<T: Scalar>(tape: &Tape<T>, path: impl AsRef<Path>) -> Result<(), Error> {
    let (path, bytes) = (path.as_ref(), serialize(tape)?);
    let mut partial = OsString::from(path);
    partial.push(".partial");
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // The reason of the first failure is what counts, and there may be no such file.
        let _ = fs::remove_file(&partial);
        Error::Write { path: path.to_owned(), source }
    })
}

/// Replaces all parameters and buffers by those in a file.
///
/// # Errors
/// [`Error::Read`] if the system refuses; those of [`deserialize`].
pub fn load<T: Scalar>(tape: &mut Tape<T>, path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    deserialize(tape, &bytes)
}

fn format(error: safetensors::SafeTensorError) -> Error {
    Error::Format(error.to_string().replace('\n', " "))
}
