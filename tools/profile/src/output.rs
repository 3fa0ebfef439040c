//! The files of a run: whole or not there at all.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The directory of a run. One that was made for it and stays empty, since the run failed, is removed again.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The directories that were not there before, innermost first.
    made: Vec<PathBuf>,
}

impl Drop for Directory {
    fn drop(&mut self) {
        for directory in &self.made {
            // Only an empty directory can be removed so; all others stay.
            let _ = fs::remove_dir(directory);
        }
    }
}

impl Directory {
    /// Creates `wanted` (none given: `runs/<time>`, a new one), and makes sure that files can be written there.
    pub fn create(wanted: Option<&Path>) -> Result<Self> {
        let path = match wanted {
            Some(path) => path.to_path_buf(),
            None => unused(&Path::new("runs").join(chrono::Local::now().format("%Y-%m-%d_%H-%M-%S").to_string()))?,
        };
        if path.is_file() {
            bail!("{} is a file, not a directory", path.display());
        }
        let missing = |directory: &&Path| !directory.as_os_str().is_empty() && !directory.exists();
        let made = path.ancestors().take_while(missing).map(Path::to_path_buf).collect();
        let directory = Self { path, made };
        let shown = directory.path.display();
        fs::create_dir_all(&directory.path).with_context(|| format!("cannot create the directory {shown}"))?;
        tempfile::tempfile_in(&directory.path)
            .map_err(without_path)
            .with_context(|| format!("cannot write to the directory {shown}"))?;
        Ok(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file `name`; returns its path.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<PathBuf> {
        let path = self.path.join(name);
        write_whole(&path, contents)?;
        Ok(path)
    }
}

/// `path`, or the first of `path-2`, `path-3` ... that is not there yet.
fn unused(path: &Path) -> Result<PathBuf> {
    if !path.exists() {
        return Ok(path.to_path_buf());
    }
    let numbered = |number: u32| PathBuf::from(format!("{}-{number}", path.display()));
    match (2..1000).map(numbered).find(|path| !path.exists()) {
        Some(path) => Ok(path),
        None => bail!("{} and a thousand like it are taken", path.display()),
    }
}

/// Writes `path` through a temporary file beside it, so that it is never half there.
///
/// A link is followed; what is no regular file, a pipe or a device, is written to as it is.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(contents))
            .with_context(context);
    }
    let mut file = temporary_file(folder_of(path)).map_err(without_path).with_context(context)?;
    file.write_all(contents).with_context(context)?;
    file.persist(path).with_context(context)?;
    Ok(())
}

/// A temporary file that, once it has its name, may be read by whom other files may be read by.
fn temporary_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What the process's mask leaves of it.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// The error without the temporary file's name, which nobody has asked for.
fn without_path(error: std::io::Error) -> std::io::Error {
    let cause =
        error.get_ref().and_then(|error| error.source()).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.and_then(std::io::Error::raw_os_error).map_or(error, std::io::Error::from_raw_os_error)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes sure that `path` can be written before hours of work are put into what goes there.
pub fn check_writable(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("cannot write {}: it is a directory", path.display());
    }
    let context = || format!("cannot write {}", path.display());
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if !path.exists() || path.is_file() {
        tempfile::tempfile_in(folder_of(&path)).map_err(without_path).with_context(context)?;
    }
    Ok(())
}
