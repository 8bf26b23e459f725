"""Introspection: it takes the facts when they are written, and ends the processes it started."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.migrate.introspect import IntrospectionFailed, introspect
from bridge.migrate.project import open_project
from tests.migrate.sites import DJANGO

NEVER_S = 600
"""How long the project's leftovers would keep running."""
LEFTOVERS = {
    "child with stderr open": f"subprocess.Popen(['sleep', '{NEVER_S}'])",
    "child that ignores SIGTERM": (
        "subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        f"signal.signal(15, signal.SIG_IGN); time.sleep({NEVER_S})'])"
    ),
    "forked child": f"os.fork() or (time.sleep({NEVER_S}), os._exit(0))",
    "thread": f"threading.Thread(target=time.sleep, args=[{NEVER_S}]).start()",
    "atexit": f"atexit.register(time.sleep, {NEVER_S})",
}


def site(folder: Path, ready: str) -> Path:
    """A project with an app whose ``ready()`` runs this."""
    files = {
        **DJANGO,
        "shop/__init__.py": "",
        "shop/apps.py": (
            "import atexit, os, pathlib, subprocess, sys, threading, time\n"
            "from django.apps import AppConfig\n\n\n"
            "class Shop(AppConfig):\n    name = 'shop'\n\n    def ready(self):\n"
            "        pathlib.Path('group').write_text(str(os.getpgid(0)))\n"
            f"        {ready}\n"
        ),
    }
    files["mysite/settings.py"] += 'INSTALLED_APPS = ["shop.apps.Shop"]\n'
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(group: int) -> bool:
    """Whether no process of a group runs; an ended one may wait for its parent."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has ended meanwhile
            continue
        if int(process_group) == group and state not in "ZX":
            return False
    return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("leftover", LEFTOVERS)
def test_facts_are_taken_when_they_are_written(leftover: str, tmp_path: Path) -> None:
    project = open_project(site(tmp_path, LEFTOVERS[leftover]))

    facts = introspect(project, Path(sys.executable), 60)

    assert [view.name for view in facts.views] == ["mysite.urls.hello"]
    group = int((tmp_path / "group").read_text())
    assert group != os.getpgid(0)
    wait_until(lambda: is_gone(group))


@pytest.mark.parametrize("ready", ["raise RuntimeError('no broker')", "os._exit(3)"])
def test_a_failure_is_reported_while_a_child_still_runs(ready: str, tmp_path: Path) -> None:
    start = f"subprocess.Popen(['sleep', '{NEVER_S}'])"
    project = open_project(site(tmp_path, f"{start}; {ready}"))

    with pytest.raises(IntrospectionFailed, match=r"failed under .*(no broker|without an error)"):
        introspect(project, Path(sys.executable), 60)

    wait_until(lambda: is_gone(int((tmp_path / "group").read_text())))


@pytest.mark.parametrize("ready", ["print('x' * 100_000)", "print('x' * 100_000, file=sys.stderr)"])
def test_output_of_the_project_stops_nothing(ready: str, tmp_path: Path) -> None:
    assert introspect(open_project(site(tmp_path, ready)), Path(sys.executable), 60).views


# -- other interpreters ----------------------------------------------------------------------------


OLDER = {
    version: os.environ[f"BRIDGE_DJANGO_{version}"]
    for version in ("3.8", "3.9", "3.10")
    if f"BRIDGE_DJANGO_{version}" in os.environ
}
"""Interpreters with a Django, made by ``nox -s migrate_elsewhere``. There are none elsewhere."""


if OLDER:

    @pytest.mark.parametrize("version", OLDER)
    def test_a_project_may_run_on_a_python_that_bridge_does_not_support(
        version: str, tmp_path: Path
    ) -> None:
        project = open_project(site(tmp_path, "pass"))

        facts = introspect(project, Path(OLDER[version]), 60)

        assert facts.python.startswith(f"{version}.")
        assert [view.name for view in facts.views] == ["mysite.urls.hello"]
