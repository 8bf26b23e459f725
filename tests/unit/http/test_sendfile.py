"""Files that a server can send by path or descriptor, and files that must be read."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bridge._http.sendfile import FileWrapper, plan_file

PATHSEND: dict[str, Any] = {"http.response.pathsend": {}}
ZEROCOPY: dict[str, Any] = {"http.response.zerocopysend": {}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_a_whole_file_is_sent_by_its_path(path: Path) -> None:
    with path.open("rb") as file:
        assert plan_file(file, 10, PATHSEND | ZEROCOPY) == {
            "type": "http.response.pathsend",
            "path": str(path),
        }


def test_a_relative_name_becomes_absolute(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with open("file", "rb") as file:
        message = plan_file(file, None, PATHSEND)
    assert message is not None
    assert message["path"] == str(path)


def test_a_part_of_a_file_is_sent_by_its_descriptor(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(4)
        assert plan_file(file, 5, PATHSEND | ZEROCOPY) == {
            "type": "http.response.zerocopysend",
            "file": file.fileno(),
            "offset": 4,
            "count": 5,
            "more_body": False,
        }
        assert plan_file(file, 5, PATHSEND) is None


def test_a_file_shorter_than_its_content_length_is_read_in_blocks(path: Path) -> None:
    with path.open("rb") as file:
        assert plan_file(file, 11, PATHSEND | ZEROCOPY) is None


def test_an_empty_file_is_sent_by_its_path(path: Path) -> None:
    path.write_bytes(b"")
    with path.open("rb") as file:
        for content_length in (0, None):
            message = plan_file(file, content_length, PATHSEND)
            assert message == {"type": "http.response.pathsend", "path": str(path)}


def test_a_file_that_has_been_read_to_its_end_is_sent_by_its_descriptor(path: Path) -> None:
    with path.open("rb") as file:
        file.read()
        message = plan_file(file, None, PATHSEND | ZEROCOPY)
        assert message is not None
        assert (message["offset"], message["count"]) == (10, 0)
        file.seek(11)
        assert plan_file(file, None, PATHSEND | ZEROCOPY) is None


def test_a_path_that_names_another_file_now_is_not_used(path: Path) -> None:
    with path.open("rb") as file:
        path.unlink()
        assert plan_file(file, None, PATHSEND) is None
        path.write_bytes(b"another file")
        assert plan_file(file, None, PATHSEND) is None


def test_a_file_deleted_on_close_is_not_sent_by_its_path(tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        file.write(b"0123456789")
        file.seek(0)
        assert plan_file(file, 10, PATHSEND) is None


def test_a_file_object_that_decodes_its_content_is_read_in_blocks(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        file.write(b"0123456789")
    with gzip.open(path) as file:
        assert plan_file(file, None, ZEROCOPY) is None


def test_a_temporary_file_is_sent_by_its_descriptor(tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        file.write(b"0123456789")
        file.seek(0)
        message = plan_file(file, 10, ZEROCOPY)
        assert message is not None
        assert message["file"] == file.fileno()


def test_anything_but_a_regular_file_is_read_in_blocks(path: Path) -> None:
    assert plan_file(io.BytesIO(b"abc"), None, PATHSEND | ZEROCOPY) is None
    read, write = os.pipe()
    with os.fdopen(read, "rb") as pipe, os.fdopen(write, "wb"):
        assert plan_file(pipe, None, PATHSEND | ZEROCOPY) is None


def test_without_server_support_a_file_is_read_in_blocks(path: Path) -> None:
    with path.open("rb") as file:
        assert plan_file(file, None, {}) is None


# -- the wrapper -----------------------------------------------------------------------------------


def test_a_wrapper_seeks_where_the_file_does(path: Path) -> None:
    with path.open("rb") as file:
        wrapper: Any = FileWrapper(file)
        assert wrapper.seekable()
        assert wrapper.seek(4) == wrapper.tell() == 4
        assert wrapper.read(2) == b"45"
        assert b"".join(wrapper) == b"6789"
        wrapper.close()
        assert file.closed


def test_a_wrapper_of_a_pipe_is_not_seekable() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as pipe, os.fdopen(write, "wb"):
        wrapper: Any = FileWrapper(pipe)
        assert not wrapper.seekable()


def test_a_wrapper_has_no_methods_that_the_file_lacks() -> None:
    class Reads:
        def read(self, size: int) -> bytes:
            return b""

    wrapper = FileWrapper(Reads())
    assert hasattr(wrapper, "read")
    for name in ("close", "seek", "seekable", "tell", "fileno"):
        assert not hasattr(wrapper, name)


def test_a_wrapper_does_not_read_after_its_content_length() -> None:
    """``read(0)`` is ``read()`` to a file object that takes any false size for no size."""

    class Reads:
        def __init__(self) -> None:
            self.sizes: list[int] = []

        def read(self, size: int) -> bytes:
            self.sizes.append(size)
            return b"x" * size

    file = Reads()
    wrapper = FileWrapper(file)
    wrapper.left = 70_000

    assert b"".join(wrapper) == b"x" * 70_000
    assert file.sizes == [65536, 70_000 - 65536]


def test_a_wrapper_that_is_closed_early_keeps_the_content(path: Path) -> None:
    file = path.open("rb")
    file.read(4)
    file.seek(0)
    wrapper = FileWrapper(file)

    wrapper.close_early()

    assert file.closed
    assert b"".join(wrapper) == b"0123456789"
    wrapper.close()
    assert wrapper.filelike.closed


def test_a_descriptor_is_a_number_and_has_fileno(path: Path) -> None:
    """The spec asks for a "file descriptor object"; anycorn calls its ``fileno()``."""
    with path.open("rb") as file:
        message = plan_file(file, None, ZEROCOPY)
        assert message is not None
        assert os.fstat(message["file"]) == os.fstat(message["file"].fileno())
