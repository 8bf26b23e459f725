"""The computed number of thread hops, which is logged at startup, is the counted one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from bridge.contrib.django.hops import Middleware, thread_hops
from tests.django.names import HERE, STARTPROJECT
from tests.harness.servers import ROOT

COUNT = "tests.django.count_hops"
# The module runs as a script, so MIDDLEWARE finds its names in __main__.
MAIN = "__main__"
SECURITY, SESSION, COMMON, CSRF, AUTH, MESSAGES, FRAMES = STARTPROJECT
SYNC = f"{HERE}.sync_only"
LOCALE = "django.middleware.locale.LocaleMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"

CHAINS = {
    "none": [],
    "startproject": STARTPROJECT,
    "more of Django's": [*STARTPROJECT, LOCALE, GZIP, CONDITIONAL],
    "sync-only innermost": [*STARTPROJECT, SYNC],
    "sync-only outermost": [SYNC, *STARTPROJECT],
    "sync-only in the middle": [SECURITY, SESSION, SYNC, COMMON, CSRF, FRAMES],
    "two sync-only": [SECURITY, SYNC, COMMON, SYNC, FRAMES],
    "functions of both kinds": [f"{MAIN}.both", SECURITY, f"{MAIN}.both", SYNC],
    "async-only outside sync-only": [f"{MAIN}.async_only", SECURITY, SYNC, FRAMES],
    "every hook": [f"{MAIN}.Templated", SYNC, f"{MAIN}.Templated", f"{MAIN}.AsyncHook"],
    "one not used": [SECURITY, f"{HERE}.NotUsed", FRAMES],
}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    chains = json.dumps(list(CHAINS.values()))
    command = [sys.executable, "-m", COUNT]
    done = subprocess.run(command, input=chains, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("view", ["/sync/", "/async/", "/template/"])
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_the_computed_number_is_the_counted_one(
    rows: list[dict[str, Any]], chain: list[str], view: str
) -> None:
    [row] = (each for each in rows if (each["chain"], each["view"]) == (chain, view))

    assert row["described"] == row["counted"]
    assert row["probed"] == row["counted"]


def test_startproject_makes_sixteen_hops(rows: list[dict[str, Any]]) -> None:
    [row] = (each for each in rows if (each["chain"], each["view"]) == (STARTPROJECT, "/sync/"))

    assert row["counted"] == 16


def test_the_computation_needs_no_django() -> None:
    mixin = Middleware("m", True, True, hooks=2, view_hook=False, template_hook=False)
    sync = Middleware("s", True, False, hooks=0, view_hook=False, template_hook=False)

    assert thread_hops([mixin, sync, mixin]) == 3 + 2 + 1
    command = "import bridge.contrib.django.hops, sys; assert 'django' not in sys.modules"
    subprocess.run([sys.executable, "-c", command], check=True, cwd=ROOT)
