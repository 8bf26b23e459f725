"""A mapping whose values error reports do not print. Pure; any thread.

The environ of a request contains its scope, or the scope its environ. Whatever prints one of them
would print every header twice, and the second time without protection: Django hides
``HTTP_COOKIE`` by its name, but in a scope a cookie is a pair in a list.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from typing import Any

__all__ = ["SilentMapping", "revealed"]


class SilentMapping:
    """Used like the mapping that it stands for, which it reads and changes.

    It is no ``dict`` and no ``Mapping`` on purpose: Django's error report copies a ``dict``, and
    Sentry's SDK walks every ``Mapping``, whatever its ``repr``. For a real ``dict``, use
    ``dict(silent)`` or ``silent.copy()``.

    It has no ``__init__``, which would be one more Python function in each request: whoever makes
    one sets ``mapping``.
    """

    __slots__ = ("mapping",)
    __hash__ = None  # type: ignore[assignment]  # as of a dict

    mapping: MutableMapping[str, Any]

    def __repr__(self) -> str:
        return f"<SilentMapping: {len(self.mapping)} keys, values not shown>"

    def __getitem__(self, key: str) -> Any:
        return self.mapping[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.mapping[key] = value

    def __delitem__(self, key: str) -> None:
        del self.mapping[key]

    def __contains__(self, key: object) -> bool:
        return key in self.mapping

    def __iter__(self) -> Iterator[str]:
        return iter(self.mapping)

    def __reversed__(self) -> Iterator[str]:
        return reversed([*self.mapping])

    def __len__(self) -> int:
        return len(self.mapping)

    def __eq__(self, other: object) -> bool:
        return bool(self.mapping == revealed(other))

    def __or__(self, other: Any) -> dict[str, Any]:
        return {**self.mapping, **other}

    def __ror__(self, other: Any) -> dict[str, Any]:
        return {**other, **self.mapping}

    def __ior__(self, other: Any) -> SilentMapping:
        self.mapping.update(other)
        return self

    def copy(self) -> dict[str, Any]:
        """A shallow copy, as a plain ``dict``."""
        return {**self.mapping}

    __copy__ = copy

    def get(self, key: str, default: Any = None) -> Any:
        return self.mapping.get(key, default)

    def keys(self) -> KeysView[str]:
        return self.mapping.keys()

    def values(self) -> ValuesView[Any]:
        return self.mapping.values()

    def items(self) -> ItemsView[str, Any]:
        return self.mapping.items()

    def pop(self, key: str, *default: Any) -> Any:
        return self.mapping.pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        return self.mapping.popitem()

    def clear(self) -> None:
        self.mapping.clear()

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self.mapping.setdefault(key, default)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.mapping.update(*args, **kwargs)


def revealed(value: Any) -> Any:
    """The mapping that a `SilentMapping` stands for; any other value unchanged."""
    return value.mapping if type(value) is SilentMapping else value
