"""What junk requests leave behind in a Django project, whose views are chosen by path."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid

import pytest

from tests.harness.junk import KINDS, MOST
from tests.harness.servers import ROOT


@pytest.mark.parametrize("kind", KINDS)
def test_little_is_kept_of_junk_in_a_django_project(kind: str) -> None:
    marker = f"junk{uuid.uuid4().hex}"
    command = [sys.executable, "-m", "tests.django.send_junk", marker, kind]

    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    count, _ = KINDS[kind]
    assert (found["AsgiSide"], found["WsgiSide"]) == (count // 4, count - count // 4)
    assert found["size"] < MOST
