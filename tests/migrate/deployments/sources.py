"""Gets the pinned files of a deployment, and checks them against the hashes in ``hashes.txt``.

Input: a deployment's TOML file. Output: a folder with the files that it names, and no others, so
that what the tool reports comes from them. They come from git, from the project's own repository
or from a folder of copies of it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Deployment", "deployments", "fetch"]

HERE = Path(__file__).parent
_HASHES = HERE / "hashes.txt"


@dataclass(frozen=True)
class Deployment:
    """One project, pinned.

    :ivar name: of its TOML file.
    :ivar facts: about the deployment as a whole, as in the file's table ``[facts]``.
    :ivar inventory: for each file of the deployment, its ``program`` and ``lines``: number, option,
        value, group, and what the line depends on.
    """

    name: str
    repository: str
    commit: str
    folder: str
    needs: tuple[str, ...]
    facts: dict[str, Any]
    inventory: dict[str, dict[str, Any]]

    @property
    def files(self) -> list[str]:
        """The paths of all files that are fetched, relative to :attr:`folder`."""
        return sorted({*self.inventory, *self.needs})


def deployments() -> list[Deployment]:
    """All deployments, by name."""
    return [_read(path) for path in sorted(HERE.glob("*.toml"))]


def _read(path: Path) -> Deployment:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return Deployment(
        name=path.stem,
        repository=content["repository"],
        commit=content["commit"],
        folder=content.get("folder", "."),
        needs=tuple(content["needs"]),
        facts=content["facts"],
        inventory=content["inventory"],
    )


def fetch(deployment: Deployment, cache: Path, copies: Path | None = None) -> Path:
    """The files of a deployment, in a folder of their own.

    :param cache: a folder outside the repository, kept between runs.
    :param copies: a folder of bare repositories, ``owner+name/repo``; without it git fetches the
        commit from the project's own repository.
    :raises ValueError: a file is not the one that was pinned.
    """
    root = cache / "files" / deployment.name
    git = copies / deployment.repository.replace("/", "+") / "repo" if copies else None
    git = git or _clone(deployment, cache)
    known = dict(_known_hashes())
    for name in deployment.files:
        path = root / name
        inside = name if deployment.folder == "." else f"{deployment.folder}/{name}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_output(git, "show", f"{deployment.commit}:{inside}"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if known.get(f"{deployment.name}/{name}") != digest:
            raise ValueError(f"{path}: not the pinned file; its SHA-256 is {digest}")
    return root


def _known_hashes() -> list[tuple[str, str]]:
    lines = _HASHES.read_text(encoding="utf-8").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines]
    return [(name, digest) for digest, name in pairs]


def _clone(deployment: Deployment, cache: Path) -> Path:
    folder = cache / "git" / deployment.repository.replace("/", "+")
    if not folder.exists():
        folder.mkdir(parents=True)
        _output(folder, "init", "--quiet", "--bare")
    address = f"https://github.com/{deployment.repository}"
    _output(folder, "fetch", "--quiet", "--depth", "1", address, deployment.commit)
    return folder


def _output(folder: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
