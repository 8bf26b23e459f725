"""Where control sockets may be: in folders that nobody else can enter, or replace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.control.folders import ControlError, default_folder, default_folders, prepare


def test_a_folder_is_made_for_its_owner_alone(short_path: Path) -> None:
    folder = prepare(short_path / "control")

    assert os.stat(folder).st_mode & 0o777 == 0o700


def test_a_relative_folder_becomes_absolute(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(short_path)

    assert prepare(Path("control")) == short_path / "control"


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o770, 0o777, 0o1777])
def test_a_folder_that_others_can_enter_is_refused(short_path: Path, mode: int) -> None:
    folder = short_path / "control"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(ControlError, match="other users can enter"):
        prepare(folder)


def test_a_link_is_refused(short_path: Path) -> None:
    (short_path / "elsewhere").mkdir(mode=0o700)
    (short_path / "control").symlink_to(short_path / "elsewhere")

    with pytest.raises(ControlError, match="is not a folder, but a link"):
        prepare(short_path / "control")


def test_a_file_is_refused(short_path: Path) -> None:
    (short_path / "control").touch()

    with pytest.raises(ControlError, match="is not a folder"):
        prepare(short_path / "control")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(short_path: Path) -> None:
    (short_path / "control").mkdir(mode=0o700)
    os.chown(short_path / "control", 12345, -1)

    with pytest.raises(ControlError, match="belongs to user 12345"):
        prepare(short_path / "control")


def test_a_folder_that_others_can_rename_is_refused(short_path: Path) -> None:
    shared = short_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    with pytest.raises(ControlError, match="other users can rename"):
        prepare(shared / "control")

    shared.chmod(0o1777)  # as /tmp
    prepare(shared / "control")


def test_a_path_that_is_too_long_for_a_socket_is_refused(short_path: Path) -> None:
    with pytest.raises(ControlError, match="Choose a shorter path"):
        prepare(short_path / ("x" * 100))


def test_a_folder_that_cannot_be_made_is_refused(short_path: Path) -> None:
    with pytest.raises(ControlError, match=r"cannot make .*No such file or directory"):
        prepare(short_path / "missing" / "control")


def test_the_runtime_folder_of_the_user_comes_first(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))

    assert default_folder() == short_path / "bridge"


def test_a_runtime_folder_that_others_can_enter_is_not_used(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_path.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))

    assert short_path / "bridge" not in default_folders()
    assert Path(f"/tmp/bridge-{os.geteuid()}") in default_folders()
