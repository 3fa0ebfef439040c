//! Parameters to files and back.

use lanegrad::error::TensorProblem;
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::isa::Scalar;
use lanegrad::nn::{BatchNorm, Linear};
use lanegrad::tape::Tape;
use lanegrad::tensor::Tensor;
use lanegrad::{Error, checkpoint};

/// A tape with parameters and buffers.
fn tape<T: Scalar>(seed: u64) -> Tape<T> {
    let mut tape = Tape::new();
    Linear::new(&mut tape, "fc", 3, 5, &mut Initializer::new(Scheme::He, seed)).unwrap();
    let norm = BatchNorm::new(&mut tape, "bn", 5).unwrap();
    tape.set_value(norm.running_mean, &Tensor::full([5], T::from_f64(seed as f64)).unwrap()).unwrap();
    tape
}

fn values<T: Scalar>(tape: &Tape<T>) -> Vec<f64> {
    let mut ranges = Vec::new();
    tape.for_each_parameter(|info| ranges.push(info.range));
    tape.look_at_parameters(|flat| {
        ranges.into_iter().flat_map(|range| flat[range].iter().map(|x| x.to_f64())).collect()
    })
    .unwrap()
}

fn there_and_back<T: Scalar>() {
    let (saved, mut loaded) = (tape::<T>(1), tape::<T>(2));
    assert_ne!(values(&saved), values(&loaded));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    checkpoint::save(&saved, &path).unwrap();
    checkpoint::load(&mut loaded, &path).unwrap();
    assert_eq!(values(&saved), values(&loaded));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes, checkpoint::serialize(&loaded).unwrap());
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 6);
    assert_eq!(file.tensor("fc.weight").unwrap().shape(), [3, 5]);
    assert_eq!(file.tensor("bn.running_mean").unwrap().data().len(), 5 * size_of::<T>());
}

#[test]
fn both_types_there_and_back() {
    there_and_back::<f32>();
    there_and_back::<f64>();
}

/// What loading `bytes` says, and that it changes nothing.
fn refusal(bytes: &[u8]) -> Error {
    let mut tape = tape::<f32>(3);
    let before = values(&tape);
    let error = checkpoint::deserialize(&mut tape, bytes).unwrap_err();
    assert_eq!(values(&tape), before);
    error
}

#[test]
fn what_does_not_agree_is_refused_and_changes_nothing() {
    let message = |tape: &Tape<f32>| refusal(&checkpoint::serialize(tape).unwrap()).to_string();
    let mut more = tape::<f32>(1);
    more.parameter("extra", &Tensor::scalar(1.0)).unwrap();
    assert_eq!(message(&more), r#"tensor "extra" is in the file, but no parameter or buffer is called so"#);
    let mut fewer = Tape::new();
    Linear::new(&mut fewer, "fc", 3, 5, &mut Initializer::new(Scheme::He, 1)).unwrap();
    assert_eq!(message(&fewer), r#"tensor "bn.weight" is not in the file"#);
    BatchNorm::new(&mut fewer, "bn", 4).unwrap();
    assert_eq!(message(&fewer), r#"tensor "bn.weight" has shape [4] in the file and [5] on the tape"#);
    let error = refusal(&checkpoint::serialize(&tape::<f64>(1)).unwrap());
    assert_eq!(error.to_string(), r#"tensor "fc.weight" has type F64 in the file and F32 on the tape"#);
    assert!(matches!(error, Error::Tensor { problem: TensorProblem::Type { .. }, .. }));
}

#[test]
fn damaged_files_are_refused() {
    let bytes = checkpoint::serialize(&tape::<f32>(1)).unwrap();
    for cut in [0, 1, 7, 8, 100, bytes.len() - 1] {
        assert!(matches!(refusal(&bytes[..cut]), Error::Format(_)), "{cut} bytes");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(refusal(&longer), Error::Format(_)));
    let mut huge = bytes;
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(refusal(&huge), Error::Format(_)));
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    assert!(matches!(checkpoint::load(&mut tape::<f32>(1), &missing), Err(Error::Read { .. })));
    assert!(matches!(checkpoint::save(&tape::<f32>(1), missing.join("below")), Err(Error::Write { .. })));
}
