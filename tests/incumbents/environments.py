"""An environment for each case, with exactly the packages of its file in ``requirements``."""

from __future__ import annotations

import hashlib
import subprocess
import venv
from pathlib import Path

__all__ = ["REQUIREMENTS", "environment", "pinned"]

REQUIREMENTS = Path(__file__).with_name("requirements")
INSTALL_TIMEOUT_S = 1800.0


def environment(name: str, folder: Path) -> Path:
    """The interpreter of the environment of a case; made in ``folder`` unless it is there.

    The packages are installed without their dependencies, because the file names all of them.

    :raises subprocess.SubprocessError: pip failed, or took longer than half an hour.
    """
    listed = REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(listed.read_bytes()).hexdigest()
    home = folder / name
    python = home / "bin" / "python"
    stamp = home / "installed.txt"
    if not stamp.exists() or stamp.read_text("utf-8") != digest:
        venv.create(home, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(listed)]
        subprocess.run(install, check=True, timeout=INSTALL_TIMEOUT_S)
        stamp.write_text(digest, "utf-8")
    return python


def pinned(name: str, package: str) -> str:
    """The version of a package in the environment of a case.

    :raises KeyError: the file does not name the package.
    """
    lines = (REQUIREMENTS / f"{name}.txt").read_text("utf-8").split()
    return dict(line.split("==", 1) for line in lines)[package]
