"""The directive ``{command-options}``: the options of a ``bridge`` command, each with an anchor.

Takes the name of a command and returns what Sphinx makes of one ``option`` directive for each of
its options, by section, as ``--help`` has them: ``{option}`bridge run --workers` `` links to one.
"""

from __future__ import annotations

from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

from bridge.cli.commands import app


class CommandOptions(Directive):
    """```` ```{command-options} run ``` ```` documents the options of ``bridge run``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        node = nodes.container(classes=["command-options"])
        text = options_of(self.arguments[0])
        self.state.nested_parse(StringList(text.splitlines(), source=""), 0, node)
        return [node]


def options_of(name: str) -> str:
    """The options of a command, in MyST."""
    command = app.commands[name]
    context = click.Context(command, info_name=name)
    blocks = [f"```{{program}} bridge {name}\n```"]
    section = ""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or not isinstance(parameter, click.Option):
            continue
        its_section = getattr(parameter, "section", "Other")
        if its_section != section:
            section = its_section
            blocks.append(f"```{{rubric}} {section}\n```")
        names, text = record
        blocks.append(f"```{{option}} {names}\n{_escaped(text)}\n```")
    return "\n\n".join(blocks)


def _escaped(text: str) -> str:
    return "".join(f"\\{each}" if each in "*_`<[" else each for each in text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("command-options", CommandOptions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
