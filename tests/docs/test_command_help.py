"""The help of a command becomes a part of the page, without losing what readers copy."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import click
import pytest


@pytest.fixture(scope="module")
def command_help(extension: Callable[[str], ModuleType]) -> ModuleType:
    return extension("command_help")


def markdown(command_help: ModuleType, option_help: str, **options: object) -> str:
    option = click.Option(["--port"], help=option_help, metavar="N", **options)  # type: ignore[arg-type]  # a few of many
    command = click.Command("run", params=[option], help="Serve.", epilog="\b\nExamples:\n  run it")
    return str(command_help.markdown(command, "bridge run"))


def test_an_option_has_a_directive_of_its_own(command_help: ModuleType) -> None:
    text = markdown(command_help, "The port.", default=8000, show_default=True)

    assert "```{option} --port N\nThe port. \\[default: 8000]\n```" in text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Example: --at /a=b:c.", "Example: `--at /a=b:c`."),
        ("Not with --host and --uds.", "Not with `--host` and `--uds`."),
        ("""An app: "m:f('x')".""", """An app: `"m:f('x')"`."""),
        ("Default: 'a @ B', of the server's.", "Default: `'a @ B'`, of the server's."),
        ("See `bridge top --help`.", "See `bridge top --help`."),
        ("In $HOME_DIR, *or* not.", "In \\$HOME\\_DIR, \\*or\\* not."),
    ],
)
def test_code_is_marked_as_such(command_help: ModuleType, written: str, expected: str) -> None:
    assert expected in markdown(command_help, written)


def test_examples_keep_their_lines(command_help: ModuleType) -> None:
    assert "```text\nExamples:\n  run it\n```" in markdown(command_help, "The port.")


def test_an_unknown_command_is_an_error(command_help: ModuleType) -> None:
    with pytest.raises(KeyError):
        command_help._command(["migrate", "nothing"])
