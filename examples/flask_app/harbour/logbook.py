"""The log book: a page with a form, and the same entries as a JSON API under ``/api/log``.

Entries are stored in one SQLite file. Each call opens a connection and closes it on the same
thread, so any number of worker threads and processes can share the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from harbour.live import board

blueprint = Blueprint("logbook", __name__)

LIMITS = {"author": 60, "text": 500}  # characters
SCHEMA = "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, author, text, written_at)"
WELCOME = (
    1,
    "The harbour master",
    "The bridge is open. Please sign the log book.",
    "2026-01-01T08:00:00+00:00",
)


@dataclass(frozen=True)
class Entry:
    """One line of the log book; ``written_at`` is ISO 8601 in UTC."""

    id: int
    author: str
    text: str
    written_at: str


class LogBook:
    """The entries on disk. Any thread may call any method."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as db:
            db.execute(SCHEMA)
            db.execute(
                "INSERT INTO entry SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM entry)",
                WELCOME,
            )

    def latest(self, limit: int = 50) -> list[Entry]:
        """The newest entries, newest first."""
        with self._open() as db:
            rows = db.execute("SELECT * FROM entry ORDER BY id DESC LIMIT ?", (limit,))
            return [Entry(*row) for row in rows]

    def get(self, entry_id: int) -> Entry | None:
        """One entry, or None."""
        with self._open() as db:
            row = db.execute("SELECT * FROM entry WHERE id = ?", (entry_id,)).fetchone()
            return row and Entry(*row)

    def add(self, author: str, text: str) -> Entry:
        """Store an entry and return it with its number."""
        written_at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._open() as db:
            cursor = db.execute(
                "INSERT INTO entry (author, text, written_at) VALUES (?, ?, ?)",
                (author, text, written_at),
            )
        return Entry(cursor.lastrowid or 0, author, text, written_at)

    def remove(self, entry_id: int) -> bool:
        """Delete an entry; False if it does not exist."""
        with self._open() as db:
            return db.execute("DELETE FROM entry WHERE id = ?", (entry_id,)).rowcount == 1

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as db, db:
            yield db


def check(given: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Validate the fields of an entry.

    :returns: the values, and a message for each invalid field.
    """
    values = {name: str(given.get(name) or "").strip() for name in LIMITS}
    errors = {}
    for name, limit in LIMITS.items():
        if not values[name]:
            errors[name] = "Please fill this in."
        elif len(values[name]) > limit:
            errors[name] = f"At most {limit} characters; this has {len(values[name])}."
    return values, errors


def write(values: Mapping[str, str]) -> Entry:
    """Store a valid entry and publish it on the live board."""
    entry = logbook().add(values["author"], values["text"])
    board().publish("entry", asdict(entry))
    return entry


def logbook() -> LogBook:
    """The log book of the app that handles this request."""
    book: LogBook = current_app.extensions["logbook"]
    return book


@blueprint.route("/log", methods=["GET", "POST"])
def page() -> AnyResponse | str | tuple[str, int]:
    """Show the entries and add one. An invalid form is shown again with its values, status 422."""
    values, errors = dict.fromkeys(LIMITS, ""), dict[str, str]()
    if request.method == "POST":
        values, errors = check(request.form)
        if not errors:
            write(values)
            flash(f"Thank you, {values['author']}. Your entry was saved.")
            return redirect(url_for("logbook.page"))
    html = render_template(
        "logbook.html", entries=logbook().latest(), values=values, errors=errors, limits=LIMITS
    )
    return (html, 422) if errors else html


@blueprint.get("/api/log")
def api_list() -> Response:
    """The newest entries."""
    return jsonify(entries=[asdict(entry) for entry in logbook().latest()])


@blueprint.post("/api/log")
def api_add() -> tuple[Response, int, dict[str, str]]:
    """Add an entry: 201 with its address, or 400 with a message per invalid field."""
    given = request.get_json()
    if not isinstance(given, dict):
        abort(400, 'The body must be a JSON object such as {"author": "Ada", "text": "Hello"}.')
    values, errors = check(given)
    if errors:
        return jsonify(error="The entry is not valid.", fields=errors), 400, {}
    entry = write(values)
    address = url_for("logbook.api_one", entry_id=entry.id)
    return jsonify(asdict(entry)), 201, {"Location": address}


@blueprint.get("/api/log/<int:entry_id>")
def api_one(entry_id: int) -> Response:
    """One entry, or 404."""
    entry = logbook().get(entry_id)
    if entry is None:
        abort(404, f"There is no entry {entry_id} in the log book.")
    return jsonify(asdict(entry))


@blueprint.delete("/api/log/<int:entry_id>")
def api_remove(entry_id: int) -> tuple[str, int]:
    """Delete an entry: 204, or 404."""
    if not logbook().remove(entry_id):
        abort(404, f"There is no entry {entry_id} in the log book.")
    return "", 204
