"""What a process still has in memory of requests that are over.

Requests of a test carry a marker in every text that a client chooses. :func:`held` finds the marker
in all strings of the process, wherever they are kept, so a test needs to know no cache by name, and
does not depend on the size of the process.
"""

from __future__ import annotations

import asyncio  # noqa: F401  # imports _asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Held", "held", "held_at_rest"]

REST_S = 30.0
POLL_S = 0.02

_asyncio = sys.modules.get("_asyncio")
"""Its referents are left out: on Python 3.12 these include objects that it has freed and keeps for
later, and a reference to one of them breaks the collector."""


@dataclass(frozen=True)
class Held:
    """:ivar texts: how many strings have the marker.
    :ivar size: of all of them, in characters or bytes.
    """

    texts: int
    size: int

    @staticmethod
    def parse(text: str) -> Held:
        """The reverse of ``str()``."""
        texts, size = map(int, text.split())
        return Held(texts, size)

    def __str__(self) -> str:
        return f"{self.texts} {self.size}"


def held(marker: str) -> Held:
    """The strings of this process that have ``marker`` in them, in upper or in lower case."""
    gc.collect()
    sizes = [len(text) for text in _texts() if _has(text, marker)]
    return Held(len(sizes), sum(sizes))


def held_at_rest(marker: str, below: int, held: Callable[[str], Held] = held) -> Held:
    """The same, once their size is ``below``, or has not become so within ``REST_S``.

    The threads that have served the last request may end it after its response.

    :param held: returns what is held now, maybe by another process.
    """
    deadline = time.monotonic() + REST_S
    while (found := held(marker)).size >= below and time.monotonic() < deadline:
        time.sleep(POLL_S)  # polling, with a deadline: memory has no event to wait for
    return found


def _texts() -> Iterator[str | bytes]:
    """Every str and bytes object that a container, an instance or a running function refers to.

    The collector lists containers, but not those that refer to strings only, nor the local
    variables of running functions. Both are reached from others.
    """
    pending: list[Any] = [*gc.get_objects(), *_local_variables()]
    seen = {id(pending)}
    seen.update(map(id, pending))
    while pending:
        container = pending.pop()
        if container is _asyncio:
            continue
        for each in gc.get_referents(container):
            if id(each) in seen:
                continue
            seen.add(id(each))
            if isinstance(each, (str, bytes)):
                yield each
            else:
                pending.append(each)


def _local_variables() -> Iterator[dict[str, Any]]:
    for frame in sys._current_frames().values():
        while frame is not None:
            yield dict(frame.f_locals)
            frame = frame.f_back  # type: ignore[assignment]


def _has(text: str | bytes, marker: str) -> bool:
    if isinstance(text, bytes):
        return marker.encode() in text or marker.upper().encode() in text
    return marker in text or marker.upper() in text
