"""Cargo: files that stream to disk while they arrive, seen from both ends.

The page sends a file with ``PUT /cargo/<name>?crate=<key>`` and shows two bars: what has left the
browser (XMLHttpRequest's own upload events), and what has reached the disk, which it asks for with
``GET /cargo/crates/<key>``. The second one moves while the first still does: the view starts before
the body ends. Without JavaScript the same form posts ``multipart/form-data``.

A crate is a file ``<key>.part`` while it is being filled. Its size on disk is the count, so every
worker process knows it. The newest crates are kept, older ones go overboard.
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
    """A file that came in whole; ``loaded_at`` is ISO 8601 in UTC."""

    key: str
    name: str
    size_bytes: int
    sha256: str
    loaded_at: str


class Hold:
    """The folder with the crates: ``<key>`` is the content, ``<key>.json`` its label."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def fill(self, key: str, name: str, body: IO[bytes], expected: int | None = None) -> Crate:
        """Read ``body`` to its end into a crate.

        :param expected: how many bytes the client promised, if it did. Some WSGI servers show a
            body that was cut short as an ordinary end.
        :raises FileExistsError: the key is taken.
        :raises ClientDisconnected: fewer bytes came; nothing is kept.
        """
        part = self._folder / f"{key}.part"
        with part.open("xb", buffering=0) as file:
            try:
                size, sha256 = _copy(body, file)
                if expected is not None and size != expected:
                    raise ClientDisconnected(f"{size} of {expected} bytes came")
            except BaseException:
                part.unlink()
                raise
        part.replace(self._folder / key)
        crate = Crate(key, name, size, sha256, datetime.now(UTC).isoformat())
        (self._folder / f"{key}.json").write_text(json.dumps(asdict(crate)), "utf-8")
        self._make_room()
        return crate

    def received_bytes(self, key: str) -> int | None:
        """How much of a crate is on disk by now; None if none of it is."""
        for path in (self._folder / f"{key}.part", self._folder / key):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return None

    def crates(self) -> list[Crate]:
        """The crates that are complete, newest first."""
        labels = map(_read_label, self._folder.glob("*.json"))
        crates = [crate for crate in labels if crate is not None]
        return sorted(crates, key=lambda crate: crate.loaded_at, reverse=True)

    def path_of(self, crate: Crate) -> Path:
        """Where the content of a crate is."""
        return self._folder / crate.key

    def _make_room(self) -> None:
        for crate in self.crates()[KEEP_CRATES:]:
            (self._folder / f"{crate.key}.json").unlink(missing_ok=True)
            self.path_of(crate).unlink(missing_ok=True)


def hold() -> Hold:
    """The hold of the app that handles this request."""
    found: Hold = current_app.extensions["hold"]
    return found


@blueprint.get("/cargo")
def page() -> str:
    """The form, the two bars, and what is in the hold."""
    return render_template("cargo.html", crates=hold().crates(), keep=KEEP_CRATES)


@blueprint.post("/cargo")
def post() -> AnyResponse:
    """The form without JavaScript: Werkzeug parses the multipart body as it comes."""
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        flash("Choose a file first.", "error")
    else:
        crate = hold().fill(secrets.token_hex(8), upload.filename, upload.stream)
        flash(f"{crate.name} is in the hold: {crate.size_bytes:,} bytes.")
    return redirect(url_for("cargo.page"))


@blueprint.put("/cargo/<name>")
def put(name: str) -> tuple[Response, int]:
    """The form with JavaScript: the body is the file, read while it arrives."""
    key = request.args.get("crate") or secrets.token_hex(8)
    _check_key(key)
    if hold().received_bytes(key) is not None:
        abort(409, f"Crate {key} is taken. Choose another key.")
    crate = hold().fill(key, name, request.stream, request.content_length)
    return jsonify(asdict(crate)), 201


@blueprint.get("/cargo/crates/<key>")
def progress(key: str) -> Response:
    """How many bytes of a crate are on disk."""
    _check_key(key)
    return jsonify(received_bytes=hold().received_bytes(key) or 0)


@blueprint.get("/cargo/crates/<key>/content")
def content(key: str) -> Response:
    """Give a file back. Flask hands it to ``wsgi.file_wrapper``."""
    _check_key(key)
    crate = next((crate for crate in hold().crates() if crate.key == key), None)
    if crate is None:
        abort(404, "This crate is not in the hold. Older ones make room for newer ones.")
    return send_file(
        hold().path_of(crate),
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=crate.name,
    )


def _check_key(key: str) -> None:
    """Keys become file names, so only those the page makes are let in."""
    if not KEY.fullmatch(key):
        abort(400, "A crate's key is 16 to 32 hexadecimal digits.")


def _copy(body: IO[bytes], file: IO[bytes]) -> tuple[int, str]:
    """Copy 64 KiB at a time, counting: the size and the SHA-256."""
    digest, size = hashlib.sha256(), 0
    while chunk := body.read(READ_BYTES):
        size += file.write(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def _read_label(label: Path) -> Crate | None:
    """What a label says; None if another request has thrown the crate out meanwhile."""
    try:
        return Crate(**json.loads(label.read_text("utf-8")))
    except FileNotFoundError:
        return None
