"""P25: SIGTERM with open endless streams ends the server within the grace period and closes the
iterators.

Seen at uvicorn #451 and MCP's sdk #514. ``tests/servers/test_to_asgi_shutdown.py`` tests every
server, also those that kill their worker or always wait for the client.
"""

from __future__ import annotations

import pytest

from tests.conftest import CONFORMANCE, LiveServer, options
from tests.harness.control import Control
from tests.harness.servers import SERVERS, serve

GRACE_S = 1
LIMIT_S = 15.0


@pytest.mark.parametrize("name", ["uvicorn-httptools", "uvicorn-uvloop", "daphne"])
@pytest.mark.parametrize("path", ["/endless", "/endless/generator"])
def test_sigterm_closes_endless_streams(name: str, path: str, control: Control, key: str) -> None:
    with serve(
        name, CONFORMANCE, env=options(threads=3), args=SERVERS[name].grace(GRACE_S)
    ) as server:
        live_server = LiveServer.of(server)
        for _ in range(3):
            assert live_server.client.open("GET", f"{path}?key={key}").chunk()

        result = server.terminate(LIMIT_S)

        control.expect(key, "closed", count=3)
        assert result.exit_code in (0, -15)
        live_server.client.close()
