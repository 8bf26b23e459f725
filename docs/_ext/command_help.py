"""The directive ``{command-help}``: what ``bridge COMMAND --help`` shows, as a part of the page.

Takes the arguments after ``bridge``, and reads the command's definition while the docs are built.
Each option has an anchor: ``{option}`bridge run --workers` `` links to it. If there is no such
command, the build fails.
"""

from __future__ import annotations

import re
from typing import Any

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from bridge.cli.commands import app as bridge_command

_CODE = re.compile(
    r"""(?<=Example:\ )--.+?(?=\.?(?:\ \[|$))  # to the end, but for what click adds to it
    | (?<=Start\ with:\ ).+
    | (?<![\w-])--[a-z][\w-]*
    | "[^"]*" | (?<!\w)'[^']*'
    """,
    re.VERBOSE,
)
"""Examples, names of options, and quoted code: without typographic quotes, to be copied."""


class CommandHelp(SphinxDirective):
    """```` ```{command-help} run ``` ```` documents ``bridge run``."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # what is read may change without the page
        names = self.arguments[0].split() if self.arguments else []
        try:
            command = _command(names)
        except KeyError:
            raise self.error(f"there is no command {' '.join(['bridge', *names])!r}") from None
        node = nodes.container(classes=["command-help"])
        text = markdown(command, " ".join(["bridge", *names]))
        self.state.nested_parse(StringList(text.splitlines(), source=""), 0, node)
        return [node]


def _command(names: list[str]) -> click.Command:
    command: click.Command = bridge_command
    for name in names:
        command = command.commands[name] if isinstance(command, click.Group) else {}[name]
    return command


def markdown(command: click.Command, program: str) -> str:
    """The documentation of a command, in MyST."""
    context = click.Context(command, info_name=program, **command.context_settings)
    usage = " ".join([program, *command.collect_usage_pieces(context)])
    blocks = [_code(usage), *_paragraphs(command.help)]
    if isinstance(command, click.Group):
        blocks += [_subcommand(name, program, each) for name, each in command.commands.items()]
    return "\n\n".join([*blocks, *_parameters(command, context), *_paragraphs(command.epilog)])


def _subcommand(name: str, program: str, command: click.Command) -> str:
    link = f"{name}.md" if isinstance(command, click.Group) else f"#{program} {name}"
    text = _inline(command.get_short_help_str(limit=200))
    return f"[`{program} {name}`](<{link.replace(' ', '-')}>)\n: {text}"


def _parameters(command: click.Command, context: click.Context) -> list[str]:
    """By section, in the order of ``--help``."""
    sections: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        names, text = record
        entry = f"`{names}`\n: {_inline(text)}"
        if isinstance(parameter, click.Option):
            entry = f"```{{option}} {names}\n{_inline(text)}\n```"
        sections.setdefault(getattr(parameter, "section", "Other"), []).append(entry)
    blocks = [f"```{{program}} {context.info_name}\n```"]
    for title, entries in sections.items():
        blocks += [f"```{{rubric}} {title}\n```", *entries]
    return blocks


def _paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a help text. In those after a ``\\b``, line breaks count."""
    paragraphs = re.split(r"\n[ \t]*\n", (text or "").strip())
    return [
        _code(each.removeprefix("\b\n")) if each.startswith("\b") else _inline(each)
        for each in paragraphs
        if each
    ]


def _code(text: str) -> str:
    return f"```text\n{text}\n```"


def _inline(text: str) -> str:
    """A text with ``code`` in backquotes and no other markup, as MyST. Marks what `_CODE` finds."""
    parts = " ".join(text.split()).split("`")
    parts[::2] = [_with_code(part) for part in parts[::2]]
    return "`".join(parts)


def _with_code(text: str) -> str:
    written: list[str] = []
    end = 0
    for match in _CODE.finditer(text):
        written += [_escaped(text[end : match.start()]), f"`{match[0]}`"]
        end = match.end()
    return "".join([*written, _escaped(text[end:])])


def _escaped(text: str) -> str:
    return re.sub(r"[*_<\[\\$]", r"\\\g<0>", text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("command-help", CommandHelp)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}
