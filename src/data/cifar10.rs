//! CIFAR-10 in its binary layout.
//!
//! Six files of 10,000 records, five to train on and one to test on. A record is 3,073 bytes: the
//! label, then 1,024 red, 1,024 green and 1,024 blue pixels of a 32x32 image, row by row. A file
//! has no header and no checksum, so its length and its labels are what there is to check.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{Dataset, Images, Source, is_label};
use crate::Error;

/// Bytes in an image: three planes, red, green and blue, of 32 rows of 32 pixels.
pub const FEATURES: usize = 3 * 32 * 32;

/// What the labels 0 to 9 mean.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The files to train on, in order.
pub const TRAIN_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
/// The file to test on.
pub const TEST_FILES: [&str; 1] = ["test_batch.bin"];

const RECORDS_PER_FILE: usize = 10_000;
/// Bytes of a label and its image.
pub const RECORD_BYTES: usize = 1 + FEATURES;
/// Bytes in each of the six files.
pub const FILE_BYTES: usize = RECORDS_PER_FILE * RECORD_BYTES;

/// Reads the 50,000 + 10,000 images of CIFAR-10 in their official order.
///
/// `directory` holds `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, 30,730,000
/// bytes each.
///
/// # Errors
///
/// [`Error::NotADirectory`], [`Error::MissingFile`], [`Error::NotAFile`], [`Error::FileSize`],
/// [`Error::FileLabel`] for a label above 9, [`Error::Read`] for what the operating system
/// refuses. All six sizes are checked before any file is opened or memory is taken.
pub fn read(directory: &Path) -> Result<Dataset, Error> {
    check_directory(directory)?;
    let train = TRAIN_FILES.map(|name| directory.join(name));
    let test = TEST_FILES.map(|name| directory.join(name));
    train.iter().chain(&test).try_for_each(|path| check_size(path))?;

    let mut buffer = vec![0; FILE_BYTES];
    Ok(Dataset {
        source: Source::Cifar10 { directory: directory.to_path_buf() },
        train: read_files(&train, &mut buffer)?,
        test: read_files(&test, &mut buffer)?,
        class_names: CLASS_NAMES.map(String::from).to_vec(),
    })
}

fn check_directory(path: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(|source| refused(path, source))?;
    if !metadata.is_dir() {
        return Err(Error::NotADirectory { path: path.to_path_buf() });
    }
    Ok(())
}

/// Checks what can be known of a file without opening it: opening a pipe could wait forever.
fn check_size(path: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(|source| refused(path, source))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_path_buf() });
    }
    let (expected, found) = (FILE_BYTES as u64, metadata.len());
    if found != expected {
        return Err(Error::FileSize { path: path.to_path_buf(), expected, found });
    }
    Ok(())
}

/// Reads whole files, one after the other, through a buffer of `FILE_BYTES`.
fn read_files(paths: &[PathBuf], buffer: &mut [u8]) -> Result<Images, Error> {
    let mut images = Images::new(FEATURES, CLASS_NAMES.len(), paths.len() * RECORDS_PER_FILE);
    for path in paths {
        File::open(path).and_then(|mut file| file.read_exact(buffer)).map_err(|source| refused(path, source))?;
        push_records(path, buffer, &mut images)?;
    }
    Ok(images)
}

/// Appends the records in `bytes`, the content of `path`.
fn push_records(path: &Path, bytes: &[u8], images: &mut Images) -> Result<(), Error> {
    for (record, bytes) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
        let (label, pixels) = (u32::from(bytes[0]), &bytes[1..]);
        if !is_label(label, images.classes()) {
            return Err(Error::FileLabel {
                path: path.to_path_buf(),
                record,
                offset: (record * RECORD_BYTES) as u64,
                label,
                classes: images.classes(),
            });
        }
        images.push(pixels, label)?;
    }
    Ok(())
}

/// An operating system's refusal to let us have `path`.
fn refused(path: &Path, source: io::Error) -> Error {
    let path = path.to_path_buf();
    match source.kind() {
        ErrorKind::NotFound => Error::MissingFile { path },
        _ => Error::Read { path, source },
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs::OpenOptions;
    use std::io::{Seek, SeekFrom, Write};

    use tempfile::TempDir;

    use super::*;

    /// Six files of black airplanes, which take no room on the disk: all of their bytes are zero.
    fn black_airplanes() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in TRAIN_FILES.iter().chain(&TEST_FILES) {
            let file = File::create(directory.path().join(name)).unwrap();
            file.set_len(FILE_BYTES as u64).unwrap();
        }
        directory
    }

    fn write_at(directory: &TempDir, name: &str, offset: usize, bytes: &[u8]) {
        let mut file = OpenOptions::new().write(true).open(directory.path().join(name)).unwrap();
        file.seek(SeekFrom::Start(offset as u64)).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn set_len(directory: &TempDir, name: &str, bytes: usize) {
        let file = OpenOptions::new().write(true).open(directory.path().join(name)).unwrap();
        file.set_len(bytes as u64).unwrap();
    }

    /// Reads `directory`, which must fail with one line: `"` directory / `expected`.
    fn assert_refused(directory: &Path, expected: &str) {
        let message = read(directory).unwrap_err().to_string();
        let quoted = format!("{:?}", directory.join("*"));
        let expected = format!("{}{expected}", quoted.trim_end_matches("*\""));
        assert_eq!(message, expected);
        assert_eq!(message.lines().count(), 1);
    }

    #[test]
    fn records_come_in_the_order_of_the_files() {
        let directory = black_airplanes();
        write_at(&directory, "data_batch_1.bin", RECORD_BYTES, &[9, 1, 2, 3]);
        write_at(&directory, "data_batch_5.bin", 9_999 * RECORD_BYTES, &[3]);
        write_at(&directory, "data_batch_5.bin", FILE_BYTES - 1, &[255]);
        write_at(&directory, "test_batch.bin", 0, &[7, 8]);

        let dataset = read(directory.path()).unwrap();
        let (train, test) = (&dataset.train, &dataset.test);
        assert_eq!((train.len(), test.len()), (50_000, 10_000));
        assert_eq!((train.features(), train.classes(), train.stride()), (3072, 10, 3136));
        assert_eq!((train.labels()[0], train.labels()[1], train.labels()[49_999]), (0, 9, 3));
        assert_eq!(train.image(1)[..4], [1, 2, 3, 0]);
        assert_eq!((train.image(0)[0], train.image(49_999)[3071]), (0, 255));
        assert_eq!((test.labels()[0], test.image(0)[0], test.labels()[1]), (7, 8, 0));
        assert_eq!(dataset.class_names[9], "truck");
        assert_eq!(dataset.source, Source::Cifar10 { directory: directory.path().to_path_buf() });
    }

    #[test]
    fn files_of_another_size_are_refused() {
        let directory = black_airplanes();
        set_len(&directory, "test_batch.bin", FILE_BYTES - 1);
        let message = "test_batch.bin\" has 30729999 bytes instead of 30730000";
        assert_refused(directory.path(), message);

        set_len(&directory, "data_batch_4.bin", FILE_BYTES + 1);
        let message = "data_batch_4.bin\" has 30730001 bytes instead of 30730000";
        assert_refused(directory.path(), message);

        set_len(&directory, "data_batch_2.bin", 0);
        let message = "data_batch_2.bin\" has 0 bytes instead of 30730000";
        assert_refused(directory.path(), message);
    }

    #[test]
    fn a_label_above_nine_is_refused_where_it_lies() {
        let directory = black_airplanes();
        write_at(&directory, "data_batch_3.bin", 17 * RECORD_BYTES, &[10]);
        let message = "data_batch_3.bin\": label 10 at byte 52241 (record 17, counted from 0) \
                       is not below 10, the number of classes";
        assert_refused(directory.path(), message);
    }

    #[test]
    fn missing_files_are_named() {
        let empty = tempfile::tempdir().unwrap();
        assert_refused(empty.path(), "data_batch_1.bin\" is missing");
        let nowhere = empty.path().join("nowhere");
        assert_eq!(read(&nowhere).unwrap_err().to_string(), format!("{nowhere:?} is missing"));

        let directory = black_airplanes();
        fs::remove_file(directory.path().join("data_batch_5.bin")).unwrap();
        assert_refused(directory.path(), "data_batch_5.bin\" is missing");
    }

    #[test]
    fn what_is_no_directory_or_no_file_is_refused() {
        let directory = black_airplanes();
        let file = directory.path().join("test_batch.bin");
        assert_eq!(read(&file).unwrap_err().to_string(), format!("{file:?} is not a directory"));

        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_refused(directory.path(), "test_batch.bin\" is not a regular file");
    }

    #[test]
    fn every_label_byte_is_accepted_or_refused_without_a_panic() {
        let mut record = [0; RECORD_BYTES];
        for label in 0..=255 {
            record[0] = label;
            let mut images = Images::new(FEATURES, CLASS_NAMES.len(), 1);
            let result = push_records(Path::new("file"), &record, &mut images);
            assert_eq!(result.is_ok(), label < 10);
            assert_eq!(images.len(), usize::from(label < 10));
        }
    }

    /// Known facts about the real set, checked where `CIFAR10_DIR` says it is.
    #[test]
    fn the_real_set_is_balanced_and_has_its_known_mean() {
        let Some(directory) = env::var_os("CIFAR10_DIR") else {
            println!("skipped: CIFAR10_DIR is not set");
            return;
        };
        let dataset = read(Path::new(&directory)).unwrap();
        for (images, per_class) in [(&dataset.train, 5_000), (&dataset.test, 1_000)] {
            for class in 0..10 {
                let count = images.labels().iter().filter(|&&label| label == class).count();
                assert_eq!(count, per_class, "{}", dataset.class_names[class as usize]);
            }
        }
        // The means of the three planes that everybody subtracts: 0.4914, 0.4822, 0.4465 of 255.
        let mean = dataset.train.mean();
        for (plane, expected) in mean.chunks(1024).zip([125.3, 122.95, 113.87]) {
            let mean = plane.iter().sum::<f32>() / 1024.0;
            assert!((mean - expected).abs() < 0.5, "{mean} is far from {expected}");
        }
        assert_eq!(dataset.train.labels()[..5], [6, 9, 9, 4, 1]);
        assert_eq!(dataset.test.labels()[..5], [3, 8, 8, 0, 6]);
    }
}
