"""Names and texts of a hostile project stay within their line of every output."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.migrate.display import printable, quoted_name
from tests.harness.tools import find_program
from tests.migrate.test_command_line import migrate

MIDDLEWARE = (
    "from django.utils.deprecation import MiddlewareMixin\n\n\n"
    "class A(MiddlewareMixin):\n"
    "    def __init__(self, get_response):\n"
    "        self.get_response = get_response\n"
)
FORGED = "a\n--- a/victim.py\n+++ b/victim.py\n@@ -1 +1 @@\n-safe\n+evil\n.py"
HOSTILE = [
    FORGED.replace("/", "\u2215"),
    "a\nE101 critical: forged.py",
    "\x1b]0;title\x07\x9b2J.py",
    "a | b ` c `` d.py",
    "a\u2028b\u202egnp.py",
    os.fsdecode(b"\xff\xfe.py"),
    "tab\there 'and' \"there\".py",
    "é ü.py",
    "-rf.py",
]


@pytest.fixture(params=HOSTILE, ids=ascii)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A Django project with a finding, and a fix, in a file with this name."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "manage.py").write_text("")
    (folder / request.param).write_text(MIDDLEWARE)
    return folder


def only(site: Path) -> Path:
    return next(path for path in site.iterdir() if path.name != "manage.py")


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_a_name_stays_in_its_line(site: Path, format: str) -> None:
    plain = site.parent / "plain"
    plain.mkdir()
    (plain / "manage.py").write_text("")
    (plain / "a.py").write_text(MIDDLEWARE)
    options = ("--no-introspect", "--select", "M203", "--format", format)

    output = migrate("check", site, *options).stdout

    assert "M203" in output
    assert output.count("\n") == migrate("check", plain, *options).stdout.count("\n")
    assert output.replace("\n", "").isprintable()
    if format == "markdown":
        row = next(line for line in output.splitlines() if line.startswith("| `"))
        assert row.replace("\\|", "").count("|") == 7


def test_json_has_the_name_itself(site: Path) -> None:
    output = migrate(
        "check", site, "--no-introspect", "--select", "M203", "--format", "json"
    ).stdout

    assert output.isascii()
    assert [each["path"] for each in json.loads(output)["findings"]] == [only(site).name]


def test_sarif_has_a_uri(site: Path) -> None:
    output = migrate(
        "check", site, "--no-introspect", "--select", "M203", "--format", "sarif"
    ).stdout
    result = json.loads(output)["runs"][0]["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]

    assert uri.isascii()
    assert uri.isprintable()
    assert " " not in uri


@pytest.mark.parametrize("command", [("git", "apply", "-"), ("patch", "-p1", "--quiet")])
def test_the_diff_changes_this_file_and_no_other(site: Path, command: tuple[str, ...]) -> None:
    find_program(command[0], package=command[0])
    (site / "victim.py").write_text("safe\n")
    options = ("--no-introspect", "--select", "M203")
    diff = migrate("fix", site, *options).stdout
    path = next(path for path in site.iterdir() if path.read_text() == MIDDLEWARE)

    subprocess.run(command, cwd=site, input=diff.encode(), check=True, timeout=60)

    assert "super().__init__(get_response)" in path.read_text()
    assert (site / "victim.py").read_text() == "safe\n"
    assert diff.count("\n--- ") + diff.startswith("--- ") == 1


@given(st.text(st.characters(exclude_characters="\0"), min_size=1))
def test_every_quoted_name_is_printable_and_keeps_its_bytes(name: str) -> None:
    try:
        raw = os.fsencode(name)
    except UnicodeEncodeError:  # a surrogate that stands for no byte: not a name of a file
        return
    shown = quoted_name(name)

    assert shown.isprintable()
    if shown.startswith('"'):
        # C's escapes are Python's, apart from non-ASCII characters, which are kept
        body = shown[1:-1].encode("utf-8").decode("latin-1")
        assert (
            body.encode("ascii", "backslashreplace").decode("unicode_escape").encode("latin-1")
            == raw
        )
    else:
        assert shown == name


@given(st.text())
def test_every_text_becomes_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
