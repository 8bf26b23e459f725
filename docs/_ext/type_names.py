"""Shows type aliases by name in the reference, instead of autodoc's internal notation.

Rewrites a page's tree of nodes: ``TypeAliasForwardRef('Scope')`` becomes ``Scope``, and
``Unpack[ToAsgiKeywords]`` becomes ``keyword-only``.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

_ALIAS = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
_KEYWORDS = re.compile(r"Unpack\[\w+\]")


def tidy(app: Sphinx, tree: nodes.document) -> None:
    """Rewrite the types of one page."""
    for paragraph in list(tree.findall(nodes.paragraph)):
        if re.search(r"TypeAliasForwardRef|Unpack", paragraph.astext()):
            _tidy(paragraph)


def _tidy(paragraph: nodes.paragraph) -> None:
    """Rewrite one paragraph: a type is a run of emphasised nodes between plain text."""
    tidied: list[nodes.Node] = []
    for is_type, run in groupby(paragraph.children, _is_type):
        pieces = list(run)
        if not is_type:
            tidied += pieces
            continue
        text = "".join(map(_text, pieces))
        text = _KEYWORDS.sub("keyword-only", _ALIAS.sub(r"\1", text))
        tidied.append(nodes.emphasis(text, text))
    paragraph.clear()
    paragraph.extend(tidied)


def _is_type(node: nodes.Node) -> bool:
    """Type names are emphasised, also inside a link; names in a role are code."""
    return isinstance(node, nodes.emphasis | pending_xref) and _text(node) != ""


def _text(node: nodes.Node) -> str:
    """A link to a type contains its name twice, for display with and without a target."""
    name = next(node.findall(nodes.emphasis), None)
    return "" if name is None else name.astext()


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", tidy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
