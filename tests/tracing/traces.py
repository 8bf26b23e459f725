"""The spans that a site has reported of one request, as the tests compare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.harness.control import Control

__all__ = ["CLIENT", "Trace", "headers_of", "trace_of"]

CLIENT = "b" * 16
"""The span of the client, whose request carries it."""


@dataclass(frozen=True)
class Trace:
    """:ivar spans: in the order in which they have started."""

    spans: list[dict[str, Any]]

    def tree(self) -> list[str]:
        """A line for each span, indented below its parent."""
        return self._below(int(CLIENT, 16), "")

    def _below(self, parent: int, indent: str) -> list[str]:
        lines = []
        for span in self.spans:
            if span["parent"] == parent:
                lines += [f"{indent}{span['name']}", *self._below(span["id"], f"{indent}  ")]
        return lines

    def span(self, name: str) -> dict[str, Any]:
        """The only span of a name."""
        [found] = [span for span in self.spans if span["name"] == name]
        return found

    def with_exceptions(self) -> list[str]:
        """A line for each exception that is recorded."""
        return [f"{span['name']}: {each}" for span in self.spans for each in span["exceptions"]]

    def failed(self) -> list[str]:
        return [span["name"] for span in self.spans if span["status"] == "ERROR"]


def headers_of(key: str, *, is_sampled: bool = True) -> list[tuple[str, str]]:
    """Those of a request in the trace of a test, which has the test's ``key``."""
    return [("traceparent", f"00-{key.removeprefix('key-')}-{CLIENT}-0{is_sampled:d}")]


def trace_of(control: Control, key: str, count: int) -> Trace:
    """The trace of a test, once it has so many spans."""
    spans = [each["span"] for each in control.expect(key, "span", count)]
    return Trace(sorted(spans, key=lambda span: span["start"]))
