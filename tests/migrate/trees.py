"""Runs every rule over large third-party Django packages.

Input: a folder with the packages, from ``pip install --target``. Output: the findings, compared
with the manually reviewed ones in ``trees.txt``, and the time it took.

::

    python -m tests.migrate.trees FOLDER            compare; exit code 1 if they differ
    python -m tests.migrate.trees FOLDER --update   write the findings, for review

The packages are libraries, not projects: they have neither settings nor servers, but all kinds of
middleware, views and project templates. Of the listed findings, the thread-locals of GEOS and of
allauth are intended, and used within one call: a warning is right, and a comment would suppress it.
All other findings are correct.
"""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bridge.migrate.findings import Finding, Target, severity_letters
from bridge.migrate.project import open_project
from bridge.migrate.rule import all_rules
from bridge.migrate.runner import check

__all__ = ["GOLDEN", "PINNED", "found_in", "shown"]

GOLDEN = Path(__file__).with_name("trees.txt")
PINNED = {
    "django": "Django==6.1.3",
    "rest_framework": "djangorestframework==3.18.3",
    "allauth": "django-allauth==65.21.1",
    "wagtail": "wagtail==8.0.1",
    "oscar": "django-oscar==4.2.1",
    "cms": "django-cms==5.1.3",
    "netbox_topology_views": "netbox-topology-views==5.0.0",
    "debug_toolbar": "django-debug-toolbar==8.0.0",
    "corsheaders": "django-cors-headers==4.9.0",
    "whitenoise": "whitenoise==6.12.0",
}
"""Import package -> requirement for pip."""


def found_in(tree: Path, target: Target) -> tuple[int, list[Finding]]:
    """The number of Python files in a tree, and the findings there.

    :raises AssertionError: a file cannot be parsed.
    """
    project = open_project(tree, target=target)
    report = check(project, all_rules(), verbose=True)
    assert not report.problems, report.problems
    return len(project.modules), list(report.findings)


def shown(tree: Path, finding: Finding) -> str:
    """A finding in one line, without its message."""
    path = finding.path.relative_to(tree.parent).as_posix()
    severities = severity_letters(finding.native, finding.bridge)
    return f"{finding.code} {severities} {path}:{finding.line}  {finding.line_text}".rstrip()


def _lines(folder: Path) -> Iterator[str]:
    for package, requirement in PINNED.items():
        started_s = time.monotonic()
        tree = folder / package
        lines: set[str] = set()
        for target in Target:
            files, found = found_in(tree, target)
            lines |= {shown(tree, each) for each in found}
        elapsed_s = time.monotonic() - started_s
        print(f"{requirement}: {files} files, {elapsed_s:.1f} s for two targets", flush=True)
        yield from (f"# {requirement}", *sorted(lines))


def main(folder: Path, *, update: bool) -> int:
    """:returns: the exit code."""
    new = list(_lines(folder))
    old = GOLDEN.read_text("utf-8").splitlines() if GOLDEN.exists() else []
    if update:
        GOLDEN.write_text("".join(f"{line}\n" for line in new), "utf-8")
    difference = list(difflib.unified_diff(old, new, "reviewed", "found", lineterm=""))
    print("\n".join(difference))
    return 1 if difference and not update else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), update="--update" in sys.argv))
