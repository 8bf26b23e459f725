"""What short texts become, for texts that come again: names of headers, whole fields, statuses.

Input: texts that clients and apps choose, with what bridge has made of them. Output: a dict to look
up in. Pure; any thread.

Rule 1. A text of more than ``longest`` characters is never learned, and at most ``most`` others
        are: a table stays far below a megabyte, whatever clients send.
Rule 2. A full table forgets everything that it has learned, and starts again. Texts that come once
        cannot keep out those that come again, as they could if nothing were learned any more.
Rule 3. What is known from the beginning is never forgotten.
Rule 4. ``entries`` is one dict for good, so that a caller can look up there without a function
        call. While one thread empties it, another finds less, and makes the value itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

__all__ = ["LearningTable"]

K = TypeVar("K")
V = TypeVar("V")

MOST = 512
LONGEST = 100
"""Of a name of a header, or of a name and its value together."""


class LearningTable(Generic[K, V]):
    """A table that learns within bounds.

    :param known: what it has from the beginning.
    :param most: how many entries it learns before it forgets them.
    :param longest: how many characters a text may have.
    :ivar entries: all of them. Only to look up in.
    """

    __slots__ = ("_known", "_limit", "_longest", "entries")

    def __init__(
        self, known: Mapping[K, V] | None = None, *, most: int = MOST, longest: int = LONGEST
    ) -> None:
        self._known: Mapping[K, V] = {} if known is None else known
        self._limit = len(self._known) + most
        self._longest = longest
        self.entries: dict[K, V] = dict(self._known)

    def learn(self, key: K, value: V, length: int) -> None:
        """Keep ``value`` for ``key``, if the texts in the key are short.

        :param length: of these texts, in characters.
        """
        if length > self._longest:
            return
        if len(self.entries) >= self._limit:
            self.entries.clear()
            self.entries.update(self._known)
        self.entries[key] = value
