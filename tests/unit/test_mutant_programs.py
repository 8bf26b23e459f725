"""Which mutants are worth testing: those that compile, and are another program."""

from __future__ import annotations

import pytest

from tests.mutants.programs import is_another_program

SOURCE = '''
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import io

LIMIT: int | None = 4

@overload
def f(size: int, *, limit: int = 4) -> int: ...

def f(size: int | str, *, limit: int | None = 4) -> int | str:
    """Two values."""
    if size == 7:
        return size
    return size * limit
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size * limit", "size / limit"),
        ("int | str, *,", "int | str, /,"),
        ("LIMIT: int | None = 4", "LIMIT: int | None = 5"),
        ("limit: int | None = 4", "limit: int | None = 5"),
    ],
)
def test_another_program(old: str, new: str) -> None:
    assert is_another_program(SOURCE, SOURCE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int | str, *,", "int | str, +,"),  # does not compile
        ("size == 7", "size is 7"),  # a SyntaxWarning
        ("size: int, *, limit", "size: int, /, limit"),
        ("int | str, *", "int & str, *"),
        ("-> int | str", "-> int & str"),
        ("LIMIT: int | None", "LIMIT: int & None"),
        ("import io", "import os"),
        ("@overload\ndef f(size: int", "@overload\ndef f(size: str"),
    ],
)
def test_no_program_or_the_same(old: str, new: str) -> None:
    changed = SOURCE.replace(old, new)
    assert changed != SOURCE
    assert not is_another_program(SOURCE, changed)
