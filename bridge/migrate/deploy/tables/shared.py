"""The rows that several tables have."""

from __future__ import annotations

from bridge.migrate.deploy.tables.rows import by_hand

__all__ = ["LOG", "SIGNAL", "STATISTICS", "TIMEOUT", "USER"]

LOG = by_hand(
    "log",
    "uvicorn logs to stdout and stderr, in its own format",
    "use uvicorn --log-config, or redirect its output",
)
SIGNAL = by_hand(
    "timeout",
    "uvicorn stops gracefully on SIGTERM and SIGINT only; on others it ends at once, or goes on",
    "use SIGTERM, which is the default",
)
STATISTICS = by_hand("log", "uvicorn sends no statistics", "measure in the app, or at the proxy")
TIMEOUT = by_hand(
    "timeout",
    "no ASGI server ends a request that takes too long",
    "set a timeout for each wait: the database's statement_timeout, the HTTP client's timeout, the "
    "proxy's proxy_read_timeout",
)
USER = by_hand(
    "user",
    "uvicorn cannot change to another user: it would run as the one that starts it",
    "start it as that user: User= of systemd, user= of supervisor",
    stops=True,
)
