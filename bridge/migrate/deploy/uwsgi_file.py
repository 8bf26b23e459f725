"""The configuration files of uwsgi: ini, XML, YAML and JSON.

Input: a path, its text, and the environment of the deployment. Output: each option as often as the
file sets it, in order, under the condition it depends on. Pure.

``if-env``, ``if-not-env``, ``if-opt`` and the other conditions apply to the options up to
``endif``; ``for`` repeats those up to ``endfor``. What nothing sets is unset: the options of
``if-env = DEBUG`` do not apply by default. ``%(name)``, ``%d`` and ``$(VARIABLE)`` are replaced
where their values are in the file or the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import yaml

from bridge.migrate.deploy.lines import sections
from bridge.migrate.deploy.records import Option, ServerConfig
from bridge.migrate.deploy.yaml_nodes import compose, line_of, pairs
from bridge.migrate.literals import UNKNOWN

__all__ = ["uwsgi_config_in"]

Pair = tuple[str, str, int]
"""An option, its value, and its line."""

_IS_INI = re.compile(r"^[ \t]*\[uwsgi\][ \t]*\r?$", re.MULTILINE)
_IS_XML = re.compile(r"<uwsgi[\s>]")
_IS_YAML = re.compile(r"^[ \t]*['\"]?uwsgi['\"]?[ \t]*:", re.MULTILINE)
_IS_JSON = re.compile(r'"uwsgi"\s*:')
_PLACEHOLDER = re.compile(r"%\(([^)]*)\)|\$\(([^)]*)\)|@\([^)]*\)|%([a-zA-Z])")
_ENDS = {"endif": "if", "end-if": "if", "endfor": "for", "end-for": "for"}
_IF = re.compile(r"if-?(not-?)?([a-z-]+)?")


def uwsgi_config_in(
    path: Path, text: str, environment: Mapping[str, str | None] | None = None
) -> Iterator[ServerConfig]:
    """The configuration in a file, if it is one of uwsgi.

    :param environment: the variables that the deployment sets.
    """
    found = _pairs_in(path, text)
    if found is not None:
        reader = _Reader(path, environment or {}, found)
        yield ServerConfig(path, "uwsgi", tuple(reader.options()))


def _pairs_in(path: Path, text: str) -> list[Pair] | None:
    suffix = path.suffix
    if _IS_INI.search(text) and suffix not in (".md", ".rst", ".txt", ".html"):
        return list(_ini_pairs(text))
    if suffix == ".xml" and _IS_XML.search(text):
        return _xml_pairs(text)
    if suffix in (".yml", ".yaml") and _IS_YAML.search(text):
        return _yaml_pairs(text)
    if suffix in (".json", ".js") and _IS_JSON.search(text):
        return _yaml_pairs(text)
    return None


def _ini_pairs(text: str) -> Iterator[Pair]:
    for section, line, content in sections(text, "#;", joins=False):
        if section == "uwsgi" and content:
            key, equals, value = content.partition("=")
            yield key.strip(), value.strip() if equals else "true", line


def _yaml_pairs(text: str) -> list[Pair] | None:
    """Also JSON, which is YAML."""
    for document in compose(text):
        for key, value in pairs(document):
            if key.value == "uwsgi" and isinstance(value, yaml.MappingNode | yaml.SequenceNode):
                return [*_pairs_of(value)]
    return None


def _pairs_of(node: yaml.Node) -> Iterator[Pair]:
    """Those of a mapping, whose values may be lists, or of a list of mappings."""
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _pairs_of(each)
        return
    for key, value in pairs(node):
        items = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for item in items:
            if isinstance(item, yaml.ScalarNode):
                yield key.value, item.value, line_of(item)


def _xml_pairs(text: str) -> list[Pair] | None:
    found: list[Pair] = []
    depth: list[tuple[str, int, list[str]]] = []
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        depth.append((name, parser.CurrentLineNumber, []))

    def data(content: str) -> None:
        if depth:
            depth[-1][2].append(content)

    def end(name: str) -> None:
        tag, line, content = depth.pop()
        if any(above == "uwsgi" for above, _, _ in depth) and tag != "uwsgi":
            found.append((tag, "".join(content).strip() or "true", line))

    def refuse(*_: object) -> None:
        raise expat.ExpatError("entities are not read")

    parser.StartElementHandler = start
    parser.CharacterDataHandler = data
    parser.EndElementHandler = end
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError:
        return None
    return found


# -- conditions and placeholders -------------------------------------------------------------------


@dataclass
class _Block:
    """``if-env = DEBUG`` or ``for = a b``, up to its end.

    :ivar items: of a loop, as written; empty for a condition.
    """

    kind: str
    text: str
    applies: bool | None
    items: list[str] = field(default_factory=list)
    argument: str = ""


class _Reader:
    """Reads options from top to bottom, as uwsgi does."""

    def __init__(
        self, path: Path, environment: Mapping[str, str | None], found: list[Pair]
    ) -> None:
        self._path = path
        self._environment = environment
        self._pairs = found
        self._values: dict[str, str] = {}
        self._block: _Block | None = None

    def options(self) -> Iterator[Option]:
        for name, raw, line in self._pairs:
            if name in _ENDS:
                self._block = None
            elif name.startswith(("for-", "if")) or name == "for":
                self._block = self._opened(name, raw)
            else:
                yield from self._option(name, raw, line)

    def _opened(self, name: str, raw: str) -> _Block:
        if name.startswith("for"):
            items = raw.split() if name == "for" else []
            if name == "for-times" and raw.isdigit() and int(raw) <= 64:
                items = [str(number) for number in range(1, int(raw) + 1)]
            return _Block("for", f"{name} = {raw}", True if items else None, items)
        found = _IF.fullmatch(name)
        is_not, kind = (bool(found.group(1)), found.group(2)) if found else (False, None)
        applies = self._holds(kind or "", raw)
        applies = applies if applies is None else applies is not is_not
        argument = raw.partition("=")[0]
        known = self._environment.get(argument)
        if kind == "env" and known is not None:
            argument = known
        return _Block("if", f"{name} = {raw}" if raw else name, applies, argument=argument)

    def _holds(self, kind: str, raw: str) -> bool | None:
        """Whether a condition holds in the default case; None if that depends on the machine."""
        name, equals, value = raw.partition("=")
        if kind == "env":
            current = self._environment.get(name, "")  # None: not known
        elif kind == "opt":
            current = self._values.get(name, "")
        else:
            return False if kind == "reload" else None
        if current is None:
            return None
        return bool(current == value if equals else current != "")

    def _option(self, name: str, raw: str, line: int) -> Iterator[Option]:
        block = self._block
        loops = block.items if block is not None and block.items else [None]
        for item in loops:
            default = self._resolved(raw, item)
            applies = block.applies if block is not None else True
            if default is not None and applies is not False:
                key, _, value = default.partition("=")
                is_placeholder = name in ("set-placeholder", "set-ph", "set")
                self._values[key if is_placeholder else name] = value if is_placeholder else default
            yield Option(
                name,
                name,
                UNKNOWN if default is None else default,
                self._path,
                line,
                source="uwsgi",
                default=default,
                raw=raw,
                condition=block.text if block is not None else "",
                applies=applies,
            )

    def _resolved(self, raw: str, item: str | None) -> str | None:
        unknown = False

        def value(found: re.Match[str]) -> str:
            nonlocal unknown
            result = self._placeholder(found, item)
            unknown = unknown or result is None
            return result or ""

        text = _PLACEHOLDER.sub(value, raw)
        return None if unknown else text

    def _placeholder(self, found: re.Match[str], item: str | None) -> str | None:
        name, variable, magic = found.groups()
        if name == "_":
            return item if item is not None else self._block.argument if self._block else None
        if name is not None:
            return self._values.get(name)
        if variable is not None:
            return self._environment.get(variable)
        return self._magic(magic or "")

    def _magic(self, letter: str) -> str | None:
        """``%d`` is the folder of the file, ``%n`` its name without suffix."""
        values = {
            "d": f"{self._path.parent}/",
            "p": str(self._path),
            "s": self._path.name,
            "n": self._path.stem,
            "c": self._path.parent.name,
            "e": self._path.suffix.removeprefix("."),
        }
        return values.get(letter)
