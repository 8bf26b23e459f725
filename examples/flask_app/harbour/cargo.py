"""Cargo: uploads that stream to disk while they arrive, with progress at both ends.

The page sends a file with ``PUT /cargo/<name>?crate=<key>`` and shows two progress bars: the bytes
that the browser has sent (upload events of XMLHttpRequest), and the bytes that are on disk, which
it polls with ``GET /cargo/crates/<key>``. Both move at the same time, because the view starts
before the body ends. Without JavaScript the same form posts ``multipart/form-data``.

A crate is the file ``<key>.part`` while it is being written. Its size on disk is the progress, so
every worker process can report it. The newest crates are kept, older ones are deleted.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from werkzeug.exceptions import ClientDisconnected
from werkzeug.wrappers import Response as AnyResponse

blueprint = Blueprint("cargo", __name__)

READ_BYTES = 64 * 1024
KEEP_CRATES = 8
KEY = re.compile(r"[0-9a-f]{16,32}")


@dataclass(frozen=True)
class Crate:
    """A complete file; ``loaded_at`` is ISO 8601 in UTC."""

    key: str
    name: str
    size_bytes: int
    sha256: str
    loaded_at: str


class Hold:
    """The folder of the crates: ``<key>`` is the content, ``<key>.json`` the metadata."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def fill(self, key: str, name: str, body: IO[bytes], expected: int | None = None) -> Crate:
        """Write ``body`` to a crate.

        :param expected: the length that the client announced, if it did. Some WSGI servers end an
            incomplete body like a complete one.
        :raises FileExistsError: the key is in use.
        :raises ClientDisconnected: the body is incomplete; nothing is kept.
        """
        part = self._folder / f"{key}.part"
        with part.open("xb", buffering=0) as file:
            try:
                size, sha256 = _copy(body, file)
                if expected is not None and size != expected:
                    raise ClientDisconnected(f"received {size} of {expected} bytes")
            except BaseException:
                part.unlink()
                raise
        part.replace(self._folder / key)
        crate = Crate(key, name, size, sha256, datetime.now(UTC).isoformat())
        (self._folder / f"{key}.json").write_text(json.dumps(asdict(crate)), "utf-8")
        self._delete_old_crates()
        return crate

    def received_bytes(self, key: str) -> int | None:
        """How many bytes of a crate are on disk; None if the crate does not exist."""
        for path in (self._folder / f"{key}.part", self._folder / key):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return None

    def crates(self) -> list[Crate]:
        """The complete crates, newest first."""
        labels = map(_read_label, self._folder.glob("*.json"))
        crates = [crate for crate in labels if crate is not None]
        return sorted(crates, key=lambda crate: crate.loaded_at, reverse=True)

    def path_of(self, crate: Crate) -> Path:
        """The file with the content of a crate."""
        return self._folder / crate.key

    def _delete_old_crates(self) -> None:
        for crate in self.crates()[KEEP_CRATES:]:
            (self._folder / f"{crate.key}.json").unlink(missing_ok=True)
            self.path_of(crate).unlink(missing_ok=True)


def hold() -> Hold:
    """The hold of the app that handles this request."""
    found: Hold = current_app.extensions["hold"]
    return found


@blueprint.get("/cargo")
def page() -> str:
    """The form, the two progress bars, and the list of crates."""
    return render_template("cargo.html", crates=hold().crates(), keep=KEEP_CRATES)


@blueprint.post("/cargo")
def post() -> AnyResponse:
    """The form without JavaScript: Werkzeug parses the multipart body while it arrives."""
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        flash("Choose a file first.", "error")
    else:
        crate = hold().fill(secrets.token_hex(8), upload.filename, upload.stream)
        flash(f"{crate.name} was stored: {crate.size_bytes:,} bytes.")
    return redirect(url_for("cargo.page"))


@blueprint.put("/cargo/<name>")
def put(name: str) -> tuple[Response, int]:
    """The form with JavaScript: the body is the file, read while it arrives."""
    key = request.args.get("crate") or secrets.token_hex(8)
    _check_key(key)
    if hold().received_bytes(key) is not None:
        abort(409, f"Crate {key} exists. Choose another key.")
    crate = hold().fill(key, name, request.stream, request.content_length)
    return jsonify(asdict(crate)), 201


@blueprint.get("/cargo/crates/<key>")
def progress(key: str) -> Response:
    """How many bytes of a crate are on disk."""
    _check_key(key)
    return jsonify(received_bytes=hold().received_bytes(key) or 0)


@blueprint.get("/cargo/crates/<key>/content")
def content(key: str) -> Response:
    """Return a file. Flask passes it to ``wsgi.file_wrapper``."""
    _check_key(key)
    crate = next((crate for crate in hold().crates() if crate.key == key), None)
    if crate is None:
        abort(404, "This crate does not exist. Old crates are deleted when new ones arrive.")
    return send_file(
        hold().path_of(crate),
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=crate.name,
    )


def _check_key(key: str) -> None:
    """Keys become file names, so only keys in the page's own format are accepted."""
    if not KEY.fullmatch(key):
        abort(400, "A crate's key is 16 to 32 hexadecimal digits.")


def _copy(body: IO[bytes], file: IO[bytes]) -> tuple[int, str]:
    """Copy 64 KiB at a time. Return the size and the SHA-256."""
    digest, size = hashlib.sha256(), 0
    while chunk := body.read(READ_BYTES):
        size += file.write(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def _read_label(label: Path) -> Crate | None:
    """Read the metadata of a crate; None if another request has deleted the crate."""
    try:
        return Crate(**json.loads(label.read_text("utf-8")))
    except FileNotFoundError:
        return None
