"""The output formats of a check: text, JSON, SARIF and Markdown.

Input: a :class:`~bridge.migrate.session.Session`. Output: text for stdout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bridge.migrate.outputs.json_format import as_json
from bridge.migrate.outputs.markdown_format import as_markdown
from bridge.migrate.outputs.sarif_format import as_sarif
from bridge.migrate.outputs.text_format import as_text
from bridge.migrate.session import Session

__all__ = ["FORMATS"]

FORMATS: Mapping[str, Callable[[Session], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "markdown": as_markdown,
}
