"""Names of our type aliases in the reference, where autodoc shows how it stands for them.

What enters: a page as a tree of nodes. What leaves: the same, with ``TypeAliasForwardRef('Scope')``
as ``Scope``, and ``Unpack[ToAsgiKeywords]`` as what that means to a reader.
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
    """Rewrite the types of one page that need it."""
    for paragraph in list(tree.findall(nodes.paragraph)):
        if re.search(r"TypeAliasForwardRef|Unpack", paragraph.astext()):
            _tidy(paragraph)


def _tidy(paragraph: nodes.paragraph) -> None:
    """A type is a row of emphasised pieces, between plain text."""
    tidied: list[nodes.Node] = []
    for is_type, row in groupby(paragraph.children, _is_type):
        pieces = list(row)
        if not is_type:
            tidied += pieces
            continue
        text = "".join(map(_text, pieces))
        text = _KEYWORDS.sub("keyword-only", _ALIAS.sub(r"\1", text))
        tidied.append(nodes.emphasis(text, text))
    paragraph.clear()
    paragraph.extend(tidied)


def _is_type(node: nodes.Node) -> bool:
    """The name of a type is emphasised, also inside a link; that of a role is code."""
    return isinstance(node, nodes.emphasis | pending_xref) and _text(node) != ""


def _text(node: nodes.Node) -> str:
    """A link to a type holds its name twice, as it will be shown with and without a target."""
    name = next(node.findall(nodes.emphasis), None)
    return "" if name is None else name.astext()


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", tidy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
