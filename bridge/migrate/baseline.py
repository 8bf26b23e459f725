"""A file of findings that were there when it was made, and are left out from then on.

What enters: findings. What leaves: those that are new. A finding is known by its rule, its file and
the text of its line: it stays known when lines above it come and go, and is new again when its own
line changes. Two of a kind in one file are counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.findings import Finding
from bridge.migrate.project import Project

__all__ = ["new_findings", "read_baseline", "write_baseline"]

Key = tuple[str, str, str]


def _key(project: Project, finding: Finding) -> Key:
    return finding.code, project.relative(finding.path), finding.line_text


def read_baseline(path: Path) -> Counter[Key]:
    """What is in a baseline file; nothing if there is none.

    :raises MigrationError: it is something else.
    """
    if not path.exists():
        return Counter()
    try:
        data = json.loads(path.read_text("utf-8"))
        return Counter(
            {(each["rule"], each["path"], each["line"]): int(each["count"]) for each in data}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MigrationError(
            f"{path} is not a baseline file ({error}); write a new one with --update-baseline"
        ) from None


def write_baseline(path: Path, project: Project, findings: Iterable[Finding]) -> int:
    """Write all findings down.

    :returns: how many they are.
    """
    counts = Counter(_key(project, finding) for finding in findings)
    rows = [
        {"rule": rule, "path": file, "line": line, "count": count}
        for (rule, file, line), count in sorted(counts.items())
    ]
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return counts.total()


def new_findings(
    known: Counter[Key], project: Project, findings: Iterable[Finding]
) -> list[Finding]:
    """The findings that are not in a baseline."""
    left = Counter(known)
    new: list[Finding] = []
    for finding in findings:
        key = _key(project, finding)
        if left[key] > 0:
            left[key] -= 1
        else:
            new.append(finding)
    return new
