"""Reads links, fields and text of HTML pages with the standard library's parser."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

ADDRESSES = {"href", "src", "action", "formaction", "poster", "data"}


class Page(HTMLParser):
    """One parsed page.

    :ivar addresses: every URL on the page, in order.
    :ivar fields: names and values of the ``input`` fields.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.fields: dict[str, str] = {}
        self._texts: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        """The visible text, with each run of white space as one space."""
        return " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses.extend(_addresses(attrs))
        if tag == "input" and values.get("name"):
            self.fields[values["name"] or ""] = values.get("value") or ""

    def handle_data(self, data: str) -> None:
        self._texts.append(data)


def _addresses(attrs: list[tuple[str, str | None]]) -> Iterator[str]:
    for name, value in attrs:
        if name in ADDRESSES and value:
            yield value
