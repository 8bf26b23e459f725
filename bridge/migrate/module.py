"""One Python file of a project: its text and its LibCST tree.

Input: a path. Output: nodes by type, their positions as offsets into the text, names resolved
through imports, and edits. Everything is computed on first use, since most files of a project are
never parsed.

The sources are not parsed with ``ast``, which supports only the syntax of the Python that runs
`bridge`. Code is never regenerated: fixes are edits of the text, so that the rest of the file is
unchanged.
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
    :ivar name: its import name, ``shop.settings``; for an ``__init__.py`` that of the package.
    :ivar is_kept: whether references to its nodes are kept, by
        :class:`~bridge.migrate.settings.Settings` for example.
    :ivar failure: why it could not be read or parsed; None before the first attempt.
    """

    def __init__(self, path: Path, name: str, text: Text | None = None) -> None:
        """:param text: the text to use instead of what is on disk."""
        self.path = path
        self.name = name
        self.is_kept = False
        self.failure: CannotRead | None = None
        self._changed_text = text
        self._parents: dict[int, cst.CSTNode] = {}

    def __getstate__(self) -> dict[str, object]:
        """Pickled without its tree: the other process parses it again, if at all."""
        plain = {"path": self.path, "name": self.name, "_changed_text": self._changed_text}
        return {**plain, "is_kept": False, "failure": None, "_parents": {}}

    def forget(self) -> None:
        """Free the tree, some megabytes; it is parsed again on the next use.

        Does nothing if references to its nodes are kept (:attr:`is_kept`).
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
        """:raises CannotRead: see :func:`~bridge.migrate.text.read_text`."""
        with self._recording_failure():
            return self._changed_text or read_text(self.path)

    @contextmanager
    def _recording_failure(self) -> Iterator[None]:
        """Keep the error for the report, even if the caller continues without this file."""
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
        with self._recording_failure():
            return self._parsed()

    def _parsed(self) -> cst.Module:
        if _depth(self.text) > _MAX_DEPTH:
            raise CannotRead(f"has more than {_MAX_DEPTH} nested brackets")
        try:
            return cst.parse_module(self.text)
        except cst.ParserSyntaxError as error:
            raise CannotRead(
                "has a syntax error, or syntax newer than the installed libcst supports "
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
        """The node that contains this one; None for whitespace and punctuation."""
        _ = self._index
        return self._parents.get(id(node))

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes that contain this one, the innermost first."""
        above = self.parent(node)
        while above is not None:
            yield above
            above = self.parent(above)

    def enclosing(self, node: cst.CSTNode, *kinds: type[cst.CSTNode]) -> cst.CSTNode | None:
        """The innermost of the containing nodes that has one of these types."""
        return next((each for each in self.ancestors(node) if isinstance(each, kinds)), None)

    def inside(self, outer: cst.CSTNode, kind: type[N]) -> list[N]:
        """All nodes of this type below ``outer``, in source order."""
        return [each for each in self.nodes(kind) if any(a is outer for a in self.ancestors(each))]

    # -- names -------------------------------------------------------------------------------------

    @functools.cached_property
    def imports(self) -> dict[str, str]:
        """The dotted name of each imported name: ``{"settings": "django.conf.settings"}``.

        Includes imports inside functions and conditions.
        """
        return imported_names(self.nodes(cst.Import), self.nodes(cst.ImportFrom), self.package)

    def qualified(self, node: cst.CSTNode) -> str | None:
        """The dotted name of a name, attribute, call or subscript, resolved through the imports.

        ``view(...)`` after ``from shop.views import view`` is ``shop.views.view``. A name that is
        not imported is returned as written. None for any other expression.
        """
        if isinstance(node, cst.Call):
            node = node.func
        written = get_full_name_for_node(node)
        if written is None:
            return None
        first, dot, rest = written.partition(".")
        return f"{self.imports.get(first, first)}{dot}{rest}"

    def classes(self) -> list[cst.ClassDef]:
        """The classes of the module, including nested ones."""
        return self.nodes(cst.ClassDef)

    def base_names(self, node: cst.ClassDef) -> list[str]:
        """The qualified names of a class's bases."""
        names = (self.qualified(base.value) for base in node.bases)
        return [name for name in names if name]

    @functools.cached_property
    def metadata(self) -> MetadataWrapper:
        """LibCST's own metadata, for other providers: ``metadata.resolve(...)``."""
        return MetadataWrapper(self.tree, unsafe_skip_copy=True)

    @functools.cached_property
    def scopes(self) -> Any:
        """LibCST's scope of each node. Slow: some milliseconds per hundred lines."""
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
        """Start and end of a node: offsets into :attr:`text`, without surrounding whitespace."""
        where = self._positions[node]
        starts = self._line_starts
        return (
            starts[where.start.line - 1] + where.start.column,
            starts[where.end.line - 1] + where.end.column,
        )

    def source(self, node: cst.CSTNode) -> str:
        """The text of a node."""
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
        """The number, from 1, of the line at an offset."""
        return bisect_right(self._line_starts, offset)

    def line_start(self, number: int) -> int:
        """The offset at which a line starts; the text's length for lines after the last."""
        starts = self._line_starts
        return starts[number - 1] if number <= len(starts) else len(self.text)

    def indent_of(self, node: cst.CSTNode) -> str:
        """The indentation of the line that a node starts in."""
        text = self.line(self.position(node)[0])
        return text[: len(text) - len(text.lstrip())]

    # -- edits -------------------------------------------------------------------------------------

    def replace(self, node: cst.CSTNode, text: str) -> Edit:
        """Replace a node by ``text``."""
        start, end = self.span(node)
        return Edit(self.path, start, end, text)

    def insert_before(self, node: cst.CSTNode, text: str) -> Edit:
        """Insert ``text`` directly before a node."""
        start, _ = self.span(node)
        return Edit(self.path, start, start, text)

    def insert_after(self, node: cst.CSTNode, text: str) -> Edit:
        """Insert ``text`` directly after a node."""
        _, end = self.span(node)
        return Edit(self.path, end, end, text)

    def insert_line(self, number: int, text: str) -> Edit:
        """Insert whole lines before line ``number``. ``text`` ends with a newline."""
        start = self.line_start(number)
        return Edit(self.path, start, start, text)

    def delete_lines(self, first: int, last: int) -> Edit:
        """Delete whole lines, from ``first`` to ``last`` inclusive."""
        return Edit(self.path, self.line_start(first), self.line_start(last + 1), "")

    def add_import(self, statement: str) -> tuple[Edit, ...]:
        """Add ``import x`` or ``from x import y`` after the other imports, if it is missing.

        :returns: no edit, or one. Two fixes that add the same import add it once.
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


_MAX_DEPTH = 200
"""Python's own limit. Far above it, libcst's parser overflows the stack and kills the process."""
_BRACKET = re.compile(r"[(\[{]|[)\]}]")


def _depth(text: str) -> int:
    """The maximum nesting of brackets, or 0 if far below the limit; includes those in strings."""
    if sum(text.count(each) for each in "([{") <= _MAX_DEPTH:
        return 0
    depth = maximum = 0
    for found in _BRACKET.finditer(text):
        depth = depth + 1 if found.group() in "([{" else max(0, depth - 1)
        maximum = max(maximum, depth)
    return maximum


_PUNCTUATION = (
    *("whitespace", "lines_after", "leading_lines", "header", "footer", "trailing"),
    *("lpar", "rpar", "lbracket", "rbracket", "comma", "colon", "semicolon", "equal", "dot"),
)


@functools.cache
def _fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    """The fields of a node type that can hold code: not whitespace, punctuation or flags."""
    names = (field.name for field in dataclasses.fields(kind))
    return tuple(name for name in names if not name.startswith(_PUNCTUATION))


def _children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for name in _fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            yield value
        elif isinstance(value, tuple | list):
            yield from (each for each in value if isinstance(each, cst.CSTNode))
