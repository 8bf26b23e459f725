"""``{module-list}``: the modules of a package, each with the first sentence of its docstring.

Read from the sources while the docs are built, so the list has every module. Nothing is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]

_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`:])")
_ROLE = re.compile(r":[\w:]+:`[~!]?([^`]+)`")


class ModuleList(SphinxDirective):
    """```` ```{module-list} bridge ``` ```` lists the modules of a folder, by package."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # what is read may change without the page
        folder = ROOT / self.arguments[0]
        return [self._section(each) for each in sorted({path.parent for path in modules(folder)})]

    def _section(self, package: Path) -> nodes.section:
        name = ".".join(package.relative_to(ROOT).parts)
        section = nodes.section(ids=[nodes.make_id(name)], names=[name])
        section += nodes.title(name, "", nodes.literal(name, name))
        rows = [f"| `{path.stem}` | {sentence} |" for path, sentence in entries(package)]
        lines = ["| Module | |", "|---|---|", *rows]
        self.state.nested_parse(StringList(lines, source=""), 0, section)
        return section


def modules(folder: Path) -> Iterator[Path]:
    """All modules, except empty `__init__` files."""
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py" or path.stat().st_size:
            yield path


def entries(package: Path) -> Iterator[tuple[Path, str]]:
    """Each module of a package, and its first sentence, in MyST.

    :raises ValueError: a module has no docstring.
    """
    for path in modules(package):
        if path.parent == package:
            yield path, first_sentence(path)


def first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    if docstring is None:
        raise ValueError(f"{path} has no docstring")
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    text = _ROLE.sub(r"`\1`", _END.split(paragraph)[0]).replace("``", "`")
    return text.replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("module-list", ModuleList)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
