"""Writing fixed files: all or none, with their mode, encoding and symlinks unchanged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.errors import MigrationError
from bridge.migrate.text import Text
from bridge.migrate.writing import write_texts


def text(content: str, encoding: str = "utf-8") -> Text:
    return Text(content, encoding, "\n")


def test_files_are_replaced_and_new_folders_created(tmp_path: Path) -> None:
    old, new = tmp_path / "old.py", tmp_path / "a" / "b" / "new.py"
    old.write_text("1\n")
    old.chmod(0o750)

    write_texts({old: text("é\n", "latin-1"), new: text("2\n")})

    assert (old.read_bytes(), new.read_bytes()) == (b"\xe9\n", b"2\n")
    assert old.stat().st_mode & 0o777 == 0o750
    mask = os.umask(0)
    os.umask(mask)
    assert new.stat().st_mode & 0o777 == 0o666 & ~mask


def test_the_target_of_a_symlink_is_written(tmp_path: Path) -> None:
    real, link = tmp_path / "real.py", tmp_path / "link.py"
    real.write_text("1\n")
    link.symlink_to(real)

    write_texts({link: text("2\n")})

    assert link.is_symlink()
    assert real.read_text() == "2\n"


def test_one_text_that_cannot_be_encoded_keeps_all_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    for path in (first, second):
        path.write_text("old\n")

    with pytest.raises(MigrationError, match=r"second\.py: the fixed text cannot be encoded"):
        write_texts({first: text("new\n"), second: text("é\n", "ascii")})

    assert (first.read_text(), second.read_text()) == ("old\n", "old\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.py", "second.py"]
