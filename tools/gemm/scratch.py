"""What the scripts of this folder share: cargo on packages that are fetched and patched under target/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

CARGO = ["nice", "-n", "10", "cargo"]
ENVIRONMENT = {**os.environ, "CARGO_BUILD_JOBS": "2"}


def cargo(*arguments: str) -> str:
    """What cargo prints to standard output; ends the script if cargo fails."""
    done = subprocess.run([*CARGO, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"cargo {' '.join(arguments)}: exit status {done.returncode}")
    return done.stdout


def cargo_shown(*arguments: str) -> tuple[str, int]:
    """What cargo prints to standard output, which is shown as it comes, and its exit status."""
    process = subprocess.Popen([*CARGO, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    return "".join(lines), process.wait()


def package_folder(name: str, version: str, scratch: Path) -> Path:
    """The folder of a published package, which cargo fetches if it is not there yet."""
    folder = scratch / name
    dependencies = f'[dependencies]\n{name} = "={version}"\n'
    manifest = f'[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n\n{dependencies}\n[workspace]\n'
    write_if_changed(folder / "Cargo.toml", manifest)
    write_if_changed(folder / "src" / "lib.rs", "")
    options = ["--format-version", "1", "--manifest-path", str(folder / "Cargo.toml")]
    packages = json.loads(cargo("metadata", *options))["packages"]
    found = next(package for package in packages if (package["name"], package["version"]) == (name, version))
    return Path(found["manifest_path"]).parent


def patch(package: Path) -> str:
    """The lines of a manifest that put the package in the place of the registry's gemm."""
    return f'\n[patch.crates-io]\ngemm = {{ path = "{package}" }}\n'


def write_if_changed(path: Path, text: str) -> None:
    """Leaves an equal file untouched, so that cargo builds nothing anew."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
