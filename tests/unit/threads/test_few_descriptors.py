"""Making event loops, in subprocesses that have few file descriptors."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

SCRIPT = """
import os, resource, sys
import bridge
import {loop}

async def app(scope, receive, send):
    await send({{"type": "http.response.start", "status": 200}})
    await send({{"type": "http.response.body", "body": b"answered"}})

def call():
    environ = {{"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}}
    try:
        return b"".join(wsgi(environ, lambda *head: None)).decode()
    except OSError as error:
        return str(error)

wsgi = bridge.to_wsgi(app, lifespan="off", loop_factory={loop}.new_event_loop)
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
for _ in range({spare}):
    os.close(taken.pop())
print(call())
for number in taken:
    os.close(number)
print(call())
"""


@pytest.mark.parametrize(
    ("loop", "spare"),
    [*(("uvloop", spare) for spare in (0, 1, 2, 3, 7, 8)), ("asyncio", 1), ("asyncio", 8)],
)
def test_without_descriptors_for_a_loop_a_request_fails_and_the_next_is_answered(
    loop: str, spare: int
) -> None:
    if importlib.util.find_spec(loop) is None:
        pytest.skip(f"{loop} is not installed")
    script = SCRIPT.format(loop=loop, spare=spare)
    ran = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    first, second = ran.stdout.splitlines()
    if spare < 8:
        assert first == (
            "[Errno 24] Too many open files: an event loop needs 8 file descriptors, and "
            f"{spare} are left to this process (see ulimit -n)"
        )
    else:
        assert first == "answered"
    assert second == "answered"
