"""What the scripts of this folder share: cargo on packages that are fetched and patched under target/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

JOBS = "2"


def cargo(*arguments: str, output: bool = False, show: bool = False, environment: dict[str, str] | None = None):
    """Runs cargo at low priority.

    With `output` returns what it prints, with `show` that and its exit status, and prints it as it comes. Without
    `show`, a failure ends the script.
    """
    command = ["nice", "-n", "10", "cargo", *arguments]
    environment = {**os.environ, "CARGO_BUILD_JOBS": JOBS, **(environment or {})}
    if not show:
        done = subprocess.run(command, stdout=subprocess.PIPE if output else None, text=True, env=environment)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit status {done.returncode}")
        return done.stdout
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
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
    packages = json.loads(cargo("metadata", *options, output=True))["packages"]
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
