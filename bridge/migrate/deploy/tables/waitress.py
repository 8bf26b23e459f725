"""All options of waitress."""

from __future__ import annotations

from bridge.migrate.deploy.tables.rows import Table, by_hand, carried, not_needed

__all__ = ["WAITRESS"]

WAITRESS = Table.of(
    [
        (carried("app", "app", "the app that the new command names"), "app call!"),
        (carried("bind", "bind"), "listen host port unix-socket"),
        (carried("threads", "threads"), "threads"),
        (carried("limit", "backlog"), "backlog"),
        (carried("rewrite", "root_path"), "url-prefix"),
        (carried("proxy", "forwarded_allow_ips"), "trusted-proxy"),
        (
            by_hand(
                "proxy",
                "uvicorn reads only X-Forwarded-For and X-Forwarded-Proto",
                "let the proxy set these",
                stops=True,
            ),
            "trusted-proxy-count trusted-proxy-headers url-scheme",
        ),
        (
            not_needed("proxy", "uvicorn ignores the headers of proxies that it does not trust"),
            "clear-untrusted-proxy-headers! no-clear-untrusted-proxy-headers! "
            "log-untrusted-proxy-headers! no-log-untrusted-proxy-headers!",
        ),
        (
            by_hand(
                "timeout",
                "uvicorn closes idle connections after --timeout-keep-alive seconds",
                "set --timeout-keep-alive; let the proxy limit slow clients",
            ),
            "channel-timeout cleanup-interval",
        ),
        (
            by_hand(
                "limit",
                "uvicorn has no such limit",
                "set --limit-concurrency for connections; let the proxy limit heads and bodies",
            ),
            "connection-limit max-request-header-size max-request-body-size",
        ),
        (
            by_hand("bind", "uvicorn does not set the mode", "set it where the socket is made"),
            "unix-socket-perms",
        ),
        (
            not_needed("bind", "uvicorn listens on both where the address says so"),
            "ipv4! no-ipv4! ipv6! no-ipv6! sockets",
        ),
        (
            by_hand(
                "log",
                "an app that shows tracebacks to clients is for development",
                "let the framework report errors",
            ),
            "expose-tracebacks! no-expose-tracebacks!",
        ),
        (
            not_needed("process", "it is internal to waitress"),
            "log-socket-errors! no-log-socket-errors! ident asyncore-loop-timeout "
            "asyncore-use-poll! no-asyncore-use-poll! socket-options channel-request-lookahead "
            "outbuf-high-watermark outbuf-overflow inbuf-overflow recv-bytes send-bytes "
            "server-name",
        ),
        (by_hand("process", "it starts no server", "remove it", stops=True), "help!"),
    ]
)
