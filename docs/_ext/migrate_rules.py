"""``{migrate-rules}``: a table of the rules of ``bridge migrate``, and an explanation of each.

The table is built from the rules themselves, and each explanation is the text that ``bridge migrate
explain`` prints. Both are read while the docs are built, so they cannot be out of date.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from bridge.migrate.explain import explain
from bridge.migrate.findings import Severity
from bridge.migrate.rule import Rule, all_rules

HEAD = ("rule", "finds", "native", "bridge", "fix", "from")


class MigrateRules(Directive):
    """The directive ``{migrate-rules}``, without arguments, options or content."""

    def run(self) -> list[nodes.Node]:
        table = nodes.table(classes=["migrate-rules"])
        group = nodes.tgroup(cols=len(HEAD))
        table += group
        group += [nodes.colspec(colwidth=width) for width in (8, 50, 10, 10, 8, 6)]
        head, body = nodes.thead(), nodes.tbody()
        group += [head, body]
        head += _row(HEAD)
        body += [_row(_cells(rule)) for rule in all_rules()]
        return [table, *(node for rule in all_rules() for node in _details(rule))]


def _cells(rule: Rule) -> tuple[str, ...]:
    sources = "".join(source.value for source in rule.sources)
    severities = (_label(rule.native), _label(rule.bridge))
    return (rule.code, rule.summary, *severities, rule.fix or "-", sources)


def _label(severity: Severity | None) -> str:
    return "-" if severity is None else severity.name.lower()


def _row(cells: tuple[str, ...]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += nodes.paragraph(cell, cell)
        row += entry
    return row


def _details(rule: Rule) -> list[nodes.Node]:
    title, _, text = explain(rule.code).partition("\n")
    text = text.partition("\n")[2].rstrip()
    block = nodes.literal_block(text, text, language="text", classes=["migrate-rule"])
    return [nodes.rubric(title, title, ids=[rule.code.lower()]), block]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("migrate-rules", MigrateRules)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
