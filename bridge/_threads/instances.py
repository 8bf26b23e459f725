"""Which instances of a class are alive: for a fork, for the end of the process, for statistics.

``weakref.WeakSet`` is a Python class. Going through one while another thread adds to it, or while
an instance ends, can raise ``RuntimeError``: rarely with the interpreter lock, often without it.
Here each step is one operation on a set, which is atomic on every build.
"""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import ref

__all__ = ["Instances"]

T = TypeVar("T")


class Instances(Generic[T]):
    """A set of weak references, to instances that are compared by identity. From any thread."""

    __slots__ = ("_references",)

    def __init__(self) -> None:
        self._references: set[ref[T]] = set()

    def add(self, instance: T) -> None:
        references = self._references
        references.add(ref(instance, references.discard))

    def discard(self, instance: T) -> None:
        self._references.discard(ref(instance))

    def alive(self) -> list[T]:
        """Those of this moment, in no order. Other threads may add some meanwhile."""
        found = (reference() for reference in self._references.copy())
        return [instance for instance in found if instance is not None]
