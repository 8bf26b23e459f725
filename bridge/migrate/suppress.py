"""``# bridge: ignore[M202] reason``: findings that a project has decided to live with.

What enters: findings and the lines they are at. What leaves: which of them are wanted. The comment
stands at the end of the line, or on a line of its own right above it, where the format of a file
(a Dockerfile, say) allows no other. It works in every file whose comments start with ``#``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bridge.migrate.findings import Finding

__all__ = ["is_ignored"]

_COMMENT = re.compile(r"#\s*bridge:\s*ignore\[([A-Z]\d+(?:\s*,\s*[A-Z]\d+)*)\]")


def is_ignored(finding: Finding, line: Callable[[int], str]) -> bool:
    """Whether a comment suppresses it.

    :param line: gives the text of a line of its file, by number from 1.
    """
    if finding.line < 1:
        return False
    above = line(finding.line - 1).strip()
    texts = [line(finding.line), above if above.startswith("#") else ""]
    return any(finding.code in _codes(text) for text in texts)


def _codes(text: str) -> set[str]:
    found = _COMMENT.search(text)
    return {code.strip() for code in found.group(1).split(",")} if found else set()
