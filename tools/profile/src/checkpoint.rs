//! Checkpoints of `profile train`: everything that a run needs to go on as if it had never stopped.
//!
//! A checkpoint is a file in the safetensors format:
//!
//! * the parameters under their names, and `optimizer.state`, as F32;
//! * `losses` (steps, 2), F64: data loss and regulariser of each step so far;
//! * the metadata `training`: the other members of [`Record`], as JSON;
//! * `sha256`, 32 bytes of U8, the last of the file: the SHA-256 of all bytes before them.
//!
//! Shuffling and dropout draw from generators that are keyed by seed and step, and a schedule is a function of the step, so
//! that none of them has a state beyond the settings and the step.

use crate::model::{Snapshot, Tensors};
use crate::report::{Epoch, Replanned};
use crate::resume::Settings;
use anyhow::{Context, Result, bail, ensure};
use lanegrad::data::{Dataset, Images};
use lanegrad::loss::StepLoss;
use lanegrad::tensor::Tensor;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The version of this format.
pub const VERSION: u32 = 1;

/// The metadata's key.
const RECORD: &str = "training";

/// Bytes of a SHA-256.
const DIGEST: usize = 32;

/// Names that are no parameters.
const STATE: &str = "optimizer.state";
const LOSSES: &str = "losses";
const CHECKSUM: &str = "sha256";

/// How far a run has come, but for its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// Every option that matters, defaults spelled out.
    pub settings: Settings,
    /// Where the data came from: a directory, or what `--data` names the synthetic set by.
    pub data: String,
    /// [`data_sha256`].
    pub data_sha256: String,
    /// The level that kernels ran at: another may round otherwise.
    pub isa: String,
    /// Steps taken.
    pub step: u64,
    /// Seconds that the steps of the last epoch took that was begun.
    pub seconds: f64,
    /// Steps that the update rule counts.
    pub optimizer_steps: u64,
    /// Steps that the tape counts, the key of dropout.
    pub tape_step: u64,
    /// The epochs that are over.
    pub epochs: Vec<Epoch>,
    /// Where the schedule was planned anew; earlier versions did not say.
    #[serde(default)]
    pub replanned: Vec<Replanned>,
}

/// All of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// How far the run has come.
    pub record: Record,
    /// Parameters and optimizer state.
    pub snapshot: Snapshot,
    /// The losses of all steps.
    pub losses: Vec<StepLoss>,
}

/// The bytes of a checkpoint.
pub fn encode(record: &Record, snapshot: &Snapshot, losses: &[StepLoss]) -> Result<Vec<u8>> {
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let losses_bytes: Vec<u8> =
        losses.iter().flat_map(|loss| [loss.data, loss.regularisation]).flat_map(f64::to_le_bytes).collect();
    let mut tensors = vec![
        (STATE.to_owned(), Dtype::F32, vec![snapshot.state.len()], floats(&snapshot.state)),
        (LOSSES.to_owned(), Dtype::F64, vec![losses.len(), 2], losses_bytes),
        // The only tensor of bytes: the format puts types of fewer bytes last.
        (CHECKSUM.to_owned(), Dtype::U8, vec![DIGEST], vec![0; DIGEST]),
    ];
    for (name, tensor) in &snapshot.parameters {
        tensors.push((name.clone(), Dtype::F32, tensor.shape().extents().to_vec(), floats(tensor.values())));
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([(RECORD.to_owned(), serde_json::to_string(record)?)]);
    let mut bytes = safetensors::serialize(views, Some(metadata))?;
    let body = bytes.len() - DIGEST;
    let digest = Sha256::digest(&bytes[..body]);
    bytes[body..].copy_from_slice(&digest);
    Ok(bytes)
}

/// Reads the bytes of a checkpoint.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint> {
    let whole = bytes.split_last_chunk::<DIGEST>().is_some_and(|(body, digest)| Sha256::digest(body)[..] == digest[..]);
    ensure!(whole, "it is no checkpoint, or a damaged one: its checksum does not agree with its contents");
    let file = SafeTensors::deserialize(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let record = header.metadata().as_ref().and_then(|metadata| metadata.get(RECORD)).context("it is no checkpoint")?;
    let record: Record = serde_json::from_str(record).context("it is a checkpoint of another version")?;
    ensure!(record.version == VERSION, "it is a checkpoint of version {}, not {VERSION}", record.version);

    let state = floats(&file, STATE)?;
    let losses = file.tensor(LOSSES)?;
    ensure!(losses.dtype() == Dtype::F64 && losses.shape() == [record.step as usize, 2], "it has not a loss a step");
    let losses = losses.data().as_chunks::<8>().0.as_chunks::<2>().0.iter();
    let losses = losses
        .map(|&[data, regularisation]| StepLoss {
            data: f64::from_le_bytes(data),
            regularisation: f64::from_le_bytes(regularisation),
        })
        .collect();
    let mut names = file.names();
    names.retain(|name| ![STATE, LOSSES, CHECKSUM].contains(name));
    names.sort_unstable();
    let parameters: Tensors = names
        .into_iter()
        .map(|name| Ok((name.to_owned(), Tensor::from_slice(file.tensor(name)?.shape(), &floats(&file, name)?)?)))
        .collect::<Result<_>>()?;
    let snapshot = Snapshot { parameters, state, optimizer_steps: record.optimizer_steps, tape_step: record.tape_step };
    Ok(Checkpoint { record, snapshot, losses })
}

/// The numbers of a tensor of F32.
fn floats(file: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>> {
    let tensor = file.tensor(name)?;
    ensure!(tensor.dtype() == Dtype::F32, "its tensor {name} is not of type F32");
    Ok(tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

/// The name of the file in the folder of a run.
const FILE: &str = "checkpoint.safetensors";

/// The checkpoint that `path` names: itself, or that of the run in this folder.
pub fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE) } else { path.to_path_buf() }
}

/// Reads a checkpoint, given its file or the folder of the run.
pub fn load(path: &Path) -> Result<Checkpoint> {
    let path = &file(path);
    let read = || {
        ensure!(fs::metadata(path)?.is_file(), "it is not a regular file");
        decode(&fs::read(path)?)
    };
    read().with_context(|| format!("cannot resume from {}", path.display()))
}

/// The SHA-256 of all pixels and labels, those to train on first.
pub fn data_sha256(dataset: &Dataset) -> String {
    let mut hash = Sha256::new();
    for images in [&dataset.train, &dataset.test] {
        hash_images(&mut hash, images);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash_images(hash: &mut Sha256, images: &Images) {
    for number in [images.len(), images.features(), images.classes()] {
        hash.update((number as u64).to_le_bytes());
    }
    for (i, label) in images.labels().iter().enumerate() {
        hash.update(images.image(i));
        hash.update(label.to_le_bytes());
    }
}

/// Where a run's checkpoints go. Only one run at a time writes there.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    path: PathBuf,
    partial: PathBuf,
    /// Open, and locked, as long as the run goes on. Systems that cannot lock a folder do without.
    _lock: Option<File>,
}

impl Store {
    /// The checkpoints of a run that writes to `folder`.
    ///
    /// # Errors
    /// If another run writes there now.
    pub fn open(folder: &Path) -> Result<Self> {
        let lock = File::open(folder).ok();
        if let Some(Err(TryLockError::WouldBlock)) = lock.as_ref().map(File::try_lock) {
            bail!("another run writes to {} now", folder.display());
        }
        let (path, partial) = (folder.join(FILE), folder.join(".checkpoint.safetensors.partial"));
        // What a run left that was killed while it wrote.
        let _ = fs::remove_file(&partial);
        Ok(Self { folder: folder.to_path_buf(), path, partial, _lock: lock })
    }

    /// The file of the last checkpoint.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the last checkpoint. Whatever happens meanwhile, to the process or to the machine, the old one or the new
    /// one is there, whole.
    pub fn save(&self, bytes: &[u8]) -> Result<()> {
        self.replace(bytes).with_context(|| {
            // The reason of the failure is what counts, and there may be no such file.
            let _ = fs::remove_file(&self.partial);
            format!("cannot write the checkpoint {}", self.path.display())
        })
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&self.partial)?;
        file.write_all(bytes)?;
        // The contents first, then the name, then the folder that has the name: each is on the disk before the next begins.
        file.sync_all()?;
        drop(file);
        fs::rename(&self.partial, &self.path)?;
        if cfg!(unix) {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let epoch = Epoch {
            epoch: 1,
            seconds: 0.1,
            samples_per_second: 1.0 / 3.0,
            gflops: 1e-300,
            peak_fraction: 0.1 + 0.2,
            train_loss: std::f64::consts::LN_10,
            test_loss: 5e-324,
            test_accuracy: 0.123_456_789_012_345_67,
            update_to_weight: [("w".to_owned(), 1e-3 / 7.0)].into(),
        };
        let record = Record {
            version: VERSION,
            settings: [("lr".to_owned(), "0.003".to_owned())].into(),
            data: "synthetic".into(),
            data_sha256: "00".into(),
            isa: "avx2".into(),
            step: 2,
            seconds: 0.3,
            optimizer_steps: 2,
            tape_step: 3,
            epochs: vec![epoch],
            replanned: vec![Replanned { step: 1, before: 1, now: 2 }],
        };
        let parameters =
            vec![("b".to_owned(), Tensor::ones([3]).unwrap()), ("w".to_owned(), Tensor::ones([2, 3]).unwrap())];
        let snapshot = Snapshot { parameters, state: vec![0.1, f32::MIN_POSITIVE], optimizer_steps: 2, tape_step: 3 };
        let losses = vec![StepLoss { data: 0.1, regularisation: 0.2 }, StepLoss { data: 0.3, regularisation: 1e-9 }];
        Checkpoint { record, snapshot, losses }
    }

    fn bytes() -> Vec<u8> {
        let Checkpoint { record, snapshot, losses } = checkpoint();
        encode(&record, &snapshot, &losses).unwrap()
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        assert_eq!(decode(&bytes()).unwrap(), checkpoint());
        assert_eq!(bytes(), bytes());
        // Any reader of the format can look into it.
        let bytes = bytes();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("w").unwrap().shape(), [2, 3]);
        assert_eq!(file.tensor(CHECKSUM).unwrap().data(), &bytes[bytes.len() - DIGEST..]);
    }

    #[test]
    fn every_damage_is_refused() {
        let good = bytes();
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "the first {length} bytes");
        }
        for i in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[i] ^= 1 << bit;
                assert!(decode(&bad).is_err(), "bit {bit} of byte {i}");
            }
        }
        assert!(decode(&[good.as_slice(), &[0]].concat()).is_err());
    }

    /// Files with the right checksum that are no checkpoints.
    #[test]
    fn a_right_checksum_alone_is_not_trusted() {
        let seal = |mut body: Vec<u8>| {
            body.extend_from_slice(&Sha256::digest(&body));
            body
        };
        let refused = |bytes: Vec<u8>| decode(&bytes).unwrap_err().to_string();
        refused(seal(Vec::new()));
        refused(seal(b"\xff\xff\xff\xff\xff\xff\xff\x7f{}".to_vec()));
        let Checkpoint { record, snapshot, losses } = checkpoint();
        let of = |record: &Record, losses: &[StepLoss]| encode(record, &snapshot, losses).unwrap();
        assert!(refused(of(&Record { version: 2, ..record.clone() }, &losses)).contains("version 2"));
        assert!(refused(of(&Record { step: u64::MAX, ..record.clone() }, &losses)).contains("loss a step"));
        assert!(refused(of(&record, &losses[..1])).contains("loss a step"));
    }

    #[test]
    fn one_run_at_a_time_writes_to_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.save(b"first").unwrap();
        store.save(b"second").unwrap();
        assert_eq!(fs::read(store.path()).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        if cfg!(unix) {
            assert!(Store::open(folder.path()).unwrap_err().to_string().contains("another run"));
        }
        drop(store);
        Store::open(folder.path()).unwrap();
    }

    #[test]
    fn a_save_that_fails_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.save(b"good").unwrap();
        // A folder in the place of the temporary file.
        fs::create_dir(&store.partial).unwrap();
        let message = format!("{:#}", store.save(b"new").unwrap_err());
        assert!(message.contains("cannot write the checkpoint"), "{message}");
        assert_eq!(fs::read(store.path()).unwrap(), b"good");
    }
}
