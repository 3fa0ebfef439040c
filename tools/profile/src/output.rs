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
        let missing = |directory: &&Path| !directory.as_os_str().is_empty() && !directory.exists();
        let made = path.ancestors().take_while(missing).map(Path::to_path_buf).collect();
        let directory = Self { path, made };
        let shown = directory.path.display();
        fs::create_dir_all(&directory.path).with_context(|| format!("cannot create the directory {shown}"))?;
        tempfile::tempfile_in(&directory.path).with_context(|| format!("cannot write to the directory {shown}"))?;
        Ok(directory)
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
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(context)?;
    file.write_all(contents).with_context(context)?;
    // Temporary files are private to the user; what a run writes is as any other file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).with_context(context)?;
    }
    file.persist(path).with_context(context)?;
    Ok(())
}

/// Makes sure that `path` can be written before hours of work are put into what goes there.
pub fn check_writable(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        bail!("cannot write {}: it is a directory", path.display());
    }
    tempfile::tempfile_in(directory).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
