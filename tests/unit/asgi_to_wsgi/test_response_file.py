"""A file that is sent by its path: it is read up to the Content-Length, however it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

import bridge
from bridge.asgi_to_wsgi.response_file import ResponseFile


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "file").write_bytes(b"0123456789")
    return str(tmp_path / "file")


@pytest.mark.parametrize(("length", "content"), [(6, b"012345"), (None, b"0123456789")])
def test_reads_end_at_the_content_length(path: str, length: int | None, content: bytes) -> None:
    with ResponseFile(path, length) as file:
        assert file.read(0) == b""
        assert file.read(2) == content[:2]
        assert file.read(0) == b""
        assert file.read(100) == content[2:]
        assert file.read(100) == file.read() == file.read(0) == b""
        for size in (-1, None):
            file.seek(1)
            assert file.read(size) == content[1:]


def test_a_file_may_be_exactly_as_long_as_its_content_length(path: str) -> None:
    with ResponseFile(path, 10) as file:
        assert file.read() == b"0123456789"
    with pytest.raises(bridge.AppProtocolError, match="1 bytes are missing"):
        ResponseFile(path, 11)
