"""The layers of ``bridge``: a module imports only from its own layer and from those below it.

The source of every module is parsed, not run. The table is the one in ``CONTRIBUTING.md``; a new
module or package at the top of ``bridge`` has to be put into it.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import bridge

PACKAGE = Path(bridge.__file__).parent

LAYERS: list[tuple[str, set[str]]] = [
    ("ground", {"_installation", "_repeated_log", "_version", "errors", "types", "config", "dual"}),
    ("pure", {"_http", "_frameworks", "_observe", "interface"}),
    ("threads", {"_threads"}),
    ("lifespan", {"_lifespan"}),
    ("adapters", {"wsgi_to_asgi", "asgi_to_wsgi", "convert", "sync"}),
    ("router", {"router"}),
    ("top", {"bridge", "__main__", "contrib", "control", "cli", "metrics", "migrate", "otel"}),
]
"""From the ground up: the name of each layer, and its modules and packages below ``bridge``."""

RANKS = {name: rank for rank, (_, names) in enumerate(LAYERS) for name in names}
MIGRATE_MAY_IMPORT = {"errors", "_version"}
LONGEST_CHAIN = 12


@functools.cache
def imports() -> dict[str, set[str]]:
    """Every module and the modules of ``bridge`` that it imports, ``TYPE_CHECKING`` included.

    Names are as in an import, a package's ``__init__`` under the package's. Imports inside a
    function are left out: they are made late on purpose.
    """
    paths = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {
        name: {_module(each, set(paths)) for each in _imported(path)} - {name}
        for name, path in paths.items()
    }


def _name(path: Path) -> str:
    parts = ("bridge", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, *, late: bool = False) -> Iterator[str]:
    for node in _statements(ast.parse(path.read_text("utf-8")), late):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}:{node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _statements(node: ast.AST, late: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if late or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _statements(child, late)


def _module(name: str, modules: set[str]) -> str:
    """The module that ``import name``, or ``from module import name``, imports."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name if name in modules else ""


def top(name: str) -> str:
    """``bridge.cli.run`` -> ``cli``; ``bridge`` itself stays."""
    return name.split(".")[1] if "." in name else name


def test_every_module_has_a_layer() -> None:
    missing = {top(name) for name in imports()} - set(RANKS)

    assert not missing, f"put these into LAYERS, and into the table of CONTRIBUTING.md: {missing}"


def test_imports_go_down_only() -> None:
    upward = [
        f"{name} ({LAYERS[RANKS[top(name)]][0]}) imports {other} ({LAYERS[RANKS[top(other)]][0]})"
        for name, others in imports().items()
        for other in others - {""}
        if RANKS[top(other)] > RANKS[top(name)]
    ]

    assert not upward, "\n".join(upward)


def test_migrate_stands_alone() -> None:
    """It reads other people's projects, and must not need what they may lack."""
    files = [path for path in PACKAGE.rglob("*.py") if _name(path).startswith("bridge.migrate")]
    foreign = {
        (_name(path), other)
        for path in files
        for other in (_module(each, set(imports())) for each in _imported(path, late=True))
        if other and not other.startswith("bridge.migrate") and top(other) not in MIGRATE_MAY_IMPORT
    }

    assert not foreign


def test_only_the_top_imports_the_package_itself() -> None:
    """``import bridge`` runs everything: below the top it would hide an import that goes up."""
    users = [
        name
        for name, others in imports().items()
        if "bridge" in others and RANKS[top(name)] < RANKS["bridge"]
    ]

    assert not users


# -- circles and chains ----------------------------------------------------------------------------


def test_there_is_no_import_circle() -> None:
    """Also none through ``TYPE_CHECKING``: modules that need each other are one idea."""
    circles = [name for name in imports() if name in _reachable(name)]

    assert not circles


def test_no_chain_of_imports_is_longer_than_twelve() -> None:
    chain = max((_longest_chain(name) for name in imports()), key=len)

    assert len(chain) <= LONGEST_CHAIN, " -> ".join(chain)


def _reachable(start: str) -> set[str]:
    """Every module that ``start`` imports, directly or not."""
    found: set[str] = set()
    pending = [start]
    while pending:
        for name in imports()[pending.pop()] - {""} - found:
            found.add(name)
            pending.append(name)
    return found


@functools.cache
def _longest_chain(name: str) -> tuple[str, ...]:
    chains = (_longest_chain(other) for other in imports()[name] - {""})
    return (name, *max(chains, key=len, default=()))
