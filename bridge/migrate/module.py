"""One Python file of a project: its text, its LibCST tree, and questions to it.

What enters: a path. What leaves: nodes by type, their positions as offsets into the text, names
resolved through imports, and edits. All of it is made when first asked for, for most files of a
project are asked for nothing.

The project's sources are never given to ``ast``: it knows only the syntax of the Python that runs
`bridge`. Nor is code ever regenerated: fixes are edits of the text, so that all else in the file
stays as it was.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import MetadataWrapper, PositionProvider, ScopeProvider

from bridge.migrate.findings import Edit
from bridge.migrate.imports import imported_names, is_docstring
from bridge.migrate.text import LINE_END, CannotRead, Text, read_text

__all__ = ["Module"]

N = TypeVar("N", bound=cst.CSTNode)


class Module:
    """One Python file.

    :ivar path: absolute.
    :ivar name: as it is imported, ``shop.settings``; for a package's ``__init__.py`` the package.
    :ivar is_kept: whether its nodes are kept, by :class:`~bridge.migrate.settings.Settings` say.
    :ivar failure: why it could not be read or parsed, once somebody has tried in vain.
    """

    def __init__(self, path: Path, name: str, text: Text | None = None) -> None:
        """:param text: what is in the file, where that is not to be read from disk."""
        self.path = path
        self.name = name
        self.is_kept = False
        self.failure: CannotRead | None = None
        self._given = text
        self._parents: dict[int, cst.CSTNode] = {}

    def __getstate__(self) -> dict[str, object]:
        """Without what was read and parsed: the other process does that itself, if at all."""
        plain = {"path": self.path, "name": self.name, "_given": self._given}
        return {**plain, "is_kept": False, "failure": None, "_parents": {}}

    def forget(self) -> None:
        """Let go of what was parsed, some megabytes; it is made anew when asked for.

        Does nothing to a module of which somebody keeps nodes (:attr:`is_kept`).
        """
        if self.is_kept:
            return
        for name in ("tree", "_index", "imports", "metadata", "scopes", "_positions"):
            self.__dict__.pop(name, None)
        self._parents = {}

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def package(self) -> str:
        """The dotted name that relative imports start from; empty at the top level."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @functools.cached_property
    def file(self) -> Text:
        """:raises CannotRead: see :func:`read_text`."""
        with self._told():
            return self._given or read_text(self.path)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Who asks may go on without this file; that it was not looked at is told all the same."""
        try:
            yield
        except CannotRead as error:
            self.failure = CannotRead(str(error), error.line)
            raise

    @property
    def text(self) -> str:
        return self.file.text

    @functools.cached_property
    def tree(self) -> cst.Module:
        """:raises CannotRead: the file has a syntax error, or syntax too new for this libcst."""
        with self._told():
            return self._parsed()

    def _parsed(self) -> cst.Module:
        if _depth(self.text) > _DEEPEST:
            raise CannotRead(f"has more than {_DEEPEST} brackets inside of each other")
        try:
            return cst.parse_module(self.text)
        except cst.ParserSyntaxError as error:
            raise CannotRead(
                "has a syntax error, or syntax newer than the installed libcst knows "
                "(pip install --upgrade libcst)",
                error.raw_line,
            ) from None
        except RecursionError:
            raise CannotRead("is nested too deeply to be parsed") from None

    # -- nodes -------------------------------------------------------------------------------------

    @functools.cached_property
    def _index(self) -> dict[type, list[Any]]:
        index: dict[type, list[Any]] = defaultdict(list)
        self._parents = {}
        stack: list[cst.CSTNode] = [self.tree]
        while stack:  # in source order: children are pushed last one first
            node = stack.pop()
            index[type(node)].append(node)
            children = list(_children(node))
            for child in children:
                self._parents[id(child)] = node
            stack.extend(reversed(children))
        return index

    def nodes(self, kind: type[N]) -> list[N]:
        """All nodes of exactly this type, in source order."""
        return self._index.get(kind, [])

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node around this one. Whitespace and punctuation have none."""
        _ = self._index
        return self._parents.get(id(node))

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes around this one, the innermost first."""
        above = self.parent(node)
        while above is not None:
            yield above
            above = self.parent(above)

    def enclosing(self, node: cst.CSTNode, *kinds: type[cst.CSTNode]) -> cst.CSTNode | None:
        """The innermost node around this one of one of these types."""
        return next((each for each in self.ancestors(node) if isinstance(each, kinds)), None)

    def inside(self, outer: cst.CSTNode, kind: type[N]) -> list[N]:
        """All nodes of this type below ``outer``, in source order."""
        return [each for each in self.nodes(kind) if any(a is outer for a in self.ancestors(each))]

    # -- names -------------------------------------------------------------------------------------

    @functools.cached_property
    def imports(self) -> dict[str, str]:
        """What each imported name stands for: ``{"settings": "django.conf.settings"}``.

        Imports inside functions and conditions count as well.
        """
        return imported_names(self.nodes(cst.Import), self.nodes(cst.ImportFrom), self.package)

    def qualified(self, node: cst.CSTNode) -> str | None:
        """The dotted name of a name, attribute, call or subscript, resolved through the imports.

        ``view(...)`` after ``from shop.views import view`` is ``shop.views.view``. A name that is
        not imported comes back as it is written. None for anything that is no name.
        """
        if isinstance(node, cst.Call):
            node = node.func
        written = get_full_name_for_node(node)
        if written is None:
            return None
        first, dot, rest = written.partition(".")
        return f"{self.imports.get(first, first)}{dot}{rest}"

    def classes(self) -> list[cst.ClassDef]:
        """The classes of the module, nested ones as well."""
        return self.nodes(cst.ClassDef)

    def base_names(self, node: cst.ClassDef) -> list[str]:
        """The qualified names of a class's bases."""
        names = (self.qualified(base.value) for base in node.bases)
        return [name for name in names if name]

    @functools.cached_property
    def metadata(self) -> MetadataWrapper:
        """LibCST's own metadata, for what the above cannot tell: ``metadata.resolve(...)``."""
        return MetadataWrapper(self.tree, unsafe_skip_copy=True)

    @functools.cached_property
    def scopes(self) -> Any:
        """LibCST's scope of each node. Slow: some milliseconds for each hundred lines."""
        return self.metadata.resolve(ScopeProvider)

    # -- positions ---------------------------------------------------------------------------------

    @functools.cached_property
    def _positions(self) -> Any:
        return self.metadata.resolve(PositionProvider)

    @functools.cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in LINE_END.finditer(self.text))]

    def position(self, node: cst.CSTNode) -> tuple[int, int]:
        """Line and column of a node's first character, both from 1."""
        start = self._positions[node].start
        return start.line, start.column + 1

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Where a node starts and ends: offsets into :attr:`text`, without whitespace around it."""
        where = self._positions[node]
        starts = self._line_starts
        return (
            starts[where.start.line - 1] + where.start.column,
            starts[where.end.line - 1] + where.end.column,
        )

    def source(self, node: cst.CSTNode) -> str:
        """A node as it is written in the file."""
        start, end = self.span(node)
        return self.text[start:end]

    def line(self, number: int) -> str:
        """The text of a line, from 1, without its end."""
        starts = self._line_starts
        if not 1 <= number <= len(starts):
            return ""
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")

    def line_of(self, offset: int) -> int:
        """The number of the line, from 1, that an offset is in."""
        return bisect_right(self._line_starts, offset)

    def line_start(self, number: int) -> int:
        """The offset at which a line starts; the text's length for lines after the last."""
        starts = self._line_starts
        return starts[number - 1] if number <= len(starts) else len(self.text)

    def indent_of(self, node: cst.CSTNode) -> str:
        """The whitespace in front of the line that a node starts in."""
        text = self.line(self.position(node)[0])
        return text[: len(text) - len(text.lstrip())]

    # -- edits -------------------------------------------------------------------------------------

    def replace(self, node: cst.CSTNode, text: str) -> Edit:
        """Write ``text`` in place of a node."""
        start, end = self.span(node)
        return Edit(self.path, start, end, text)

    def insert_before(self, node: cst.CSTNode, text: str) -> Edit:
        """Write ``text`` right in front of a node."""
        start, _ = self.span(node)
        return Edit(self.path, start, start, text)

    def insert_after(self, node: cst.CSTNode, text: str) -> Edit:
        """Write ``text`` right behind a node."""
        _, end = self.span(node)
        return Edit(self.path, end, end, text)

    def insert_line(self, number: int, text: str) -> Edit:
        """Write whole lines in front of line ``number``. ``text`` ends with a newline."""
        start = self.line_start(number)
        return Edit(self.path, start, start, text)

    def delete_lines(self, first: int, last: int) -> Edit:
        """Take away whole lines, both ends included."""
        return Edit(self.path, self.line_start(first), self.line_start(last + 1), "")

    def add_import(self, statement: str) -> tuple[Edit, ...]:
        """Add ``import x`` or ``from x import y`` behind the other imports, if it is not there.

        :returns: no edit, or one. Two fixes that add the same import do it once.
        """
        imports = _import_lines(self.tree)
        if statement in {self.source(small) for line in imports for small in line.body}:
            return ()
        line, blank_after = self._import_insertion_point(imports)
        text = f"{statement}\n" + ("\n" if blank_after else "")
        return (self.insert_line(line, text),)

    def _import_insertion_point(self, imports: list[cst.SimpleStatementLine]) -> tuple[int, bool]:
        """The line to insert an import before, and whether an empty line has to follow it.

        After the last import of the first run of imports, else after docstring and comments.
        """
        body = self.tree.body
        if imports:
            last = _last_of_first_run(body, imports)
            return self.line_of(self.span(last)[1]) + 1, False
        if body and is_docstring(body[0]):
            return self.line_of(self.span(body[0])[1]) + 1, True
        return (self.position(body[0])[0] if body else 1), True


def _import_lines(tree: cst.Module) -> list[cst.SimpleStatementLine]:
    """The import statements at the top level."""
    return [
        each
        for each in tree.body
        if isinstance(each, cst.SimpleStatementLine)
        and isinstance(each.body[0], cst.Import | cst.ImportFrom)
    ]


def _last_of_first_run(
    body: Sequence[cst.CSTNode], imports: list[cst.SimpleStatementLine]
) -> cst.CSTNode:
    position = body.index(imports[0])
    while position + 1 < len(body) and body[position + 1] in imports:
        position += 1
    return body[position]


_DEEPEST = 200
"""Python itself takes no more. libcst's parser runs out of stack, and of process, much later."""
_BRACKET = re.compile(r"[(\[{]|[)\]}]")


def _depth(text: str) -> int:
    """How many brackets are open at most. Those in strings count, which hardly matters."""
    if sum(text.count(each) for each in "([{") <= _DEEPEST:
        return 0
    depth = deepest = 0
    for found in _BRACKET.finditer(text):
        depth = depth + 1 if found.group() in "([{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


_PUNCTUATION = (
    *("whitespace", "lines_after", "leading_lines", "header", "footer", "trailing"),
    *("lpar", "rpar", "lbracket", "rbracket", "comma", "colon", "semicolon", "equal", "dot"),
)


@functools.cache
def _fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    """The fields of a node type that can hold code: no whitespace, no punctuation, no flags."""
    names = (field.name for field in dataclasses.fields(kind))
    return tuple(name for name in names if not name.startswith(_PUNCTUATION))


def _children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for name in _fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            yield value
        elif isinstance(value, tuple | list):
            yield from (each for each in value if isinstance(each, cst.CSTNode))
