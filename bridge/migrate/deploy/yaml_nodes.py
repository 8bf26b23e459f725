"""YAML as nodes, which know their lines: composed, never constructed.

Input: a text. Output: nodes of PyYAML. Aliases are the nodes that they refer to, and ``<<`` is
merged. Helm templates are read as far as they are YAML without their ``{{ ... }}``. A file that
aliases make endless is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

__all__ = ["compose", "get", "line_of", "pairs", "scalars", "text_of"]

_TEMPLATE_LINE = re.compile(r"^[ \t]*\{\{.*\}\}[ \t]*$", re.MULTILINE)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_NODES = 100_000
_TEMPLATE = re.compile(r"\{\{.*?\}\}")


def compose(text: str) -> list[yaml.Node]:
    """The documents of a file; none if it is not YAML."""
    for candidate in (text, _without_templates(text)):
        try:
            nodes = [each for each in yaml.compose_all(candidate, Loader=_LOADER) if each]
            return nodes if sum(_size(node, {}) for node in nodes) <= _MAX_NODES else []
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
    return []


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """The number of nodes, with aliases expanded: each of them may double it.

    :raises RecursionError: a node contains itself.
    """
    if id(node) not in sizes:
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            children = [each for pair in children for each in pair]
        sizes[id(node)] = 1 + sum(_size(each, sizes) for each in children)
    return sizes[id(node)]


def _without_templates(text: str) -> str:
    """The same lines without ``{{ ... }}``: each offset stays where it is."""
    text = _TEMPLATE_LINE.sub(lambda found: " " * len(found.group()), text)
    return _TEMPLATE.sub(lambda found: "_" * len(found.group()), text)


def pairs(node: yaml.Node | None, depth: int = 0) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The keys and values of a mapping; those that ``<<`` merges come first, as defaults."""
    if not isinstance(node, yaml.MappingNode) or depth > 20:
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == "<<":
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for each in merged:
                yield from pairs(each, depth + 1)
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            yield key, value


def get(node: yaml.Node | None, *names: str) -> yaml.Node | None:
    """The value at a path of keys; None if there is none."""
    for name in names:
        found = [value for key, value in pairs(node) if key.value == name]
        if not found:
            return None
        node = found[-1]
    return node


def scalars(node: yaml.Node | None) -> list[yaml.ScalarNode]:
    """A scalar, or the scalars of a list."""
    if isinstance(node, yaml.ScalarNode):
        return [node]
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    return [each for each in items if isinstance(each, yaml.ScalarNode)]


def text_of(node: yaml.Node | None) -> str | None:
    """The text of a scalar; None for another node."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def line_of(node: yaml.Node) -> int:
    """The line of a node, from 1."""
    return int(node.start_mark.line) + 1
