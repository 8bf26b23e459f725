"""The machine and the versions that were measured, without the machine's name or any path."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["facts"]

PACKAGES = (
    *("wsgi-asgi-bridge", "a2wsgi", "asgiref", "uvicorn", "uvloop", "httptools", "hypercorn"),
    *("granian", "gunicorn", "waitress", "flask", "django", "psycopg"),
)


def facts() -> dict[str, str]:
    """Names and values, in display order."""
    found = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _first(Path("/proc/cpuinfo"), r"model name\s*:\s*(.+)") or platform.machine(),
        "CPUs": f"{_cpus()}: one for the server, one for the load" if _cpus() > 1 else "1",
        "memory": f"{_memory_gb():.0f} GB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "Python": platform.python_version(),
        "wrk": _wrk(),
    }
    for package in PACKAGES:
        found[package.removeprefix("wsgi-asgi-")] = _version(package)
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _wrk() -> str:
    if shutil.which("wrk") is None:
        return "not installed"
    out = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"wrk (?:debian/)?([\d.]+)", out)
    return found[1] if found else "unknown"


def _first(path: Path, pattern: str) -> str | None:
    if not path.exists():
        return None
    found = re.search(pattern, path.read_text("utf-8", "replace"))
    return found[1].strip() if found else None
