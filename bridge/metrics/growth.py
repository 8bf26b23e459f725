"""What a count of a living object has grown by. Pure.

Pools, limits and loops count by themselves, and end. A counter of Prometheus must not fall when
they do, so each is read again and again, and what it has grown by is added up.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["Growth"]

T = TypeVar("T", bound=Hashable)


class Growth(Generic[T]):
    """The counts of some objects, as last seen. One thread at a time."""

    def __init__(self) -> None:
        self._seen: WeakKeyDictionary[T, int] = WeakKeyDictionary()

    def of(self, counted: T, count: int) -> int:
        """How much the count of ``counted`` has grown since the last call.

        A count that has fallen has begun again, in a forked process.
        """
        before = self._seen.get(counted, 0)
        self._seen[counted] = count
        return count - before if count >= before else count
