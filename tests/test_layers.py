"""The layers of ``bridge``: a module imports only from its own layer and from those below it.

What enters: the source of every module, parsed and not run. What leaves: one line for each import
that goes up. The table is the one in CONTRIBUTING.md; a new module has to be put into it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import bridge

PACKAGE = Path(bridge.__file__).parent

LAYERS: list[tuple[str, set[str]]] = [
    ("ground", {"_version", "errors", "types"}),
    (
        "pure",
        {
            "config",
            "context",
            "environ",
            "faces",
            "filesend",
            "headers",
            "interface",
            "jobs",
            "messages",
            "scope",
            "wsgi_head",
        },
    ),
    (
        "concurrency",
        {
            "borrowed_pool",
            "doorbell",
            "gate",
            "inbox",
            "loop",
            "native",
            "pool",
            "reminder",
            "streams",
            "submitted",
            "sync",
            "thread_sensitive",
            "worker",
        },
    ),
    (
        "adapters",
        {
            "asgi_to_wsgi",
            "client_watch",
            "django_handler",
            "django_request",
            "early_hints",
            "exchange",
            "exchange_app",
            "exchange_caller",
            "exchange_errors",
            "http_request",
            "lifespan",
            "live_app",
            "pulled_body",
            "websocket",
            "wsgi_to_asgi",
        },
    ),
    (
        "above",
        {
            "__init__",
            "__main__",
            "cli",
            "contrib",
            "convert",
            "django_project",
            "importing",
            "loader",
            "router",
            "migrate",
        },
    ),
]
RANKS = {name: rank for rank, (_, names) in enumerate(LAYERS) for name in names}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module, as its name below ``bridge`` (``cli.run``) and its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts), path


def imported(path: Path) -> set[str]:
    """The modules of ``bridge`` that one imports, anywhere in it, as names below ``bridge``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}:{node.lineno}: relative import"
            found |= _from(node)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "bridge"}
    return {name.removeprefix("bridge").lstrip(".") or "__init__" for name in found}


def _from(node: ast.ImportFrom) -> set[str]:
    if node.module == "bridge":  # from bridge import x: a module of that name, or the package
        return {_module_or_package(alias.name) for alias in node.names}
    module = node.module or ""
    return {module} if module.startswith("bridge.") else set()


def _module_or_package(name: str) -> str:
    is_module = (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir()
    return f"bridge.{name}" if is_module else "bridge"


def top(name: str) -> str:
    return name.split(".")[0]


def test_every_module_has_a_layer() -> None:
    missing = {top(name) for name, _ in modules()} - set(RANKS)

    assert not missing, f"put these into LAYERS, and into the table of CONTRIBUTING.md: {missing}"


def test_imports_go_down_only() -> None:
    upward = [
        f"bridge.{name} ({LAYERS[RANKS[top(name)]][0]}) imports "
        f"bridge.{other} ({LAYERS[RANKS[top(other)]][0]})"
        for name, path in modules()
        for other in imported(path)
        if RANKS[top(other)] > RANKS[top(name)]
    ]

    assert not upward, "\n".join(upward)


def test_only_what_is_above_imports_the_package_itself() -> None:
    """``import bridge`` runs everything: below the top it would hide a way up."""
    users = [
        name
        for name, path in modules()
        if "__init__" in imported(path) and LAYERS[RANKS[top(name)]][0] != "above"
    ]

    assert not users
