"""The grammar of `--env-file`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.cli.env_file import load_env_file, parse_env
from bridge.cli.options import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment", {}),
        ("\n\n  # one\n\t\nA=1\n", {"A": "1"}),
        ("A=1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A= # nothing", {"A": ""}),
        ("  A=1", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("export A=1", {"A": "1"}),
        ("export=1", {"export": "1"}),
        ("A=one two  ", {"A": "one two"}),
        ("A=one # two", {"A": "one"}),
        ("A=1 # two", {"A": "1"}),
        ("A=1 #\nB=2\t# three # four", {"A": "1", "B": "2"}),
        ("A=1 2 # three", {"A": "1 2"}),
        ("A=one#two", {"A": "one#two"}),
        ("A=postgres://u:p@h/db?x=1#f", {"A": "postgres://u:p@h/db?x=1#f"}),
        ("A=$B ${C}", {"A": "$B ${C}"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A='one # \\n \"two\"' # three", {"A": 'one # \\n "two"'}),
        ('A="one\\ntwo\\t\\"\\\\\\$\\`\\x"', {"A": 'one\ntwo\t"\\$`\\x'}),
        ('A="one # $B"', {"A": "one # $B"}),
        (
            'A="-----BEGIN-----\nabc\n-----END-----"\nB=2',
            {"A": "-----BEGIN-----\nabc\n-----END-----", "B": "2"},
        ),
        ("A='one\n\n# two'\nB=2", {"A": "one\n\n# two", "B": "2"}),
        ("A=''", {"A": ""}),
        ("A=ü", {"A": "ü"}),
    ],
)
def test_values(text: str, expected: dict[str, str]) -> None:
    assert parse_env(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A", "line 1: expected NAME=VALUE or a # comment"),
        ("A=1\n\n  B =2", "line 3: expected NAME=VALUE or a # comment"),
        ("A=1\nA-B=2", "line 2: expected NAME=VALUE or a # comment"),
        ("1A=2", "line 1: expected NAME=VALUE or a # comment"),
        ("A=1\nB='secret\n", "line 2: the value of B has a quote that is not closed"),
        ('B="secret', "line 1: the value of B has a quote that is not closed"),
        ("B='secret'x", "line 1: the value of B has a quote that is not closed"),
        ("B=se'cret", "line 1: the value of B has a quote that is not closed"),
        ("B=C:\\secret", "line 1: the value of B has a quote that is not closed"),
        ("B='1'#secret", "line 1: the value of B has a quote that is not closed"),
        ("A=1\nB=\0", "line 2: a NUL character"),
        ("A= secret", "line 1: a space after the = of A"),
    ],
)
def test_mistakes_are_named_by_line_without_the_value(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_env(text)
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)


def test_what_is_set_already_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_TEST_A", "kept")
    monkeypatch.setenv("BRIDGE_TEST_B", "")
    monkeypatch.setenv("BRIDGE_TEST_C", "to be restored")
    monkeypatch.delenv("BRIDGE_TEST_C")
    file = tmp_path / ".env"
    file.write_text("\ufeffBRIDGE_TEST_A=1\nBRIDGE_TEST_B=2\nBRIDGE_TEST_C=3\n", "utf-8")

    load_env_file(file)

    assert [os.environ[f"BRIDGE_TEST_{name}"] for name in "ABC"] == ["kept", "", "3"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--env-file .*/none: No such file"):
        load_env_file(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"A=\xff")
    with pytest.raises(UsageError, match=r"--env-file .*/binary: it is not UTF-8"):
        load_env_file(tmp_path / "binary")
    (tmp_path / "wrong").write_text("A")
    with pytest.raises(UsageError, match=r"--env-file .*/wrong, line 1: expected NAME=VALUE"):
        load_env_file(tmp_path / "wrong")
