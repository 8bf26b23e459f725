"""nginx that does not pass WebSockets on, or that uses the uwsgi protocol.

WebSockets fail. A WebSocket begins with an HTTP/1.1 request to upgrade, but by default nginx passes
HTTP/1.0 (1.1 in newer versions) and drops the header. With ``uwsgi_pass`` every request fails: it
uses the binary protocol of uwsgi, which no ASGI server understands.

The fix adds the three lines where they take effect: nginx inherits ``proxy_set_header`` only into
blocks that have none of their own. It is unsafe: nginx may be configured for more than this
project, and the file has to be reloaded together with the server.

Before::

    location / {
        uwsgi_pass unix:/run/mysite.sock;
        include uwsgi_params;
    }

After::

    location / {
        proxy_pass http://unix:/run/mysite.sock;
        proxy_set_header Host $host;
        ...
    }
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.deploy.records import NginxConfig, NginxDirective
from bridge.migrate.findings import Edit, Finding, Fix, Severity, Source
from bridge.migrate.rule import Rule
from bridge.migrate.web_app import uses_websockets

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_UPGRADE = (
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Connection $http_connection;",
)
_HEADERS = (
    "proxy_set_header Host $host;",
    "proxy_set_header X-Forwarded-For $remote_addr;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
)
_COMMON = frozenset(
    f"uwsgi_{name}"
    for name in (
        *("read_timeout", "send_timeout", "connect_timeout", "buffering", "buffers"),
        *("buffer_size", "busy_buffers_size", "request_buffering", "max_temp_file_size"),
        *("intercept_errors", "ignore_client_abort", "pass_header", "hide_header"),
        *("next_upstream", "temp_path", "ignore_headers", "force_ranges", "limit_rate"),
    )
)


class NginxHttpOnly(Rule):
    """See the module's docstring."""

    code = "X505"
    name = "nginx-without-upgrade"
    summary = "nginx does not pass WebSockets on, or uses the uwsgi protocol"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)
    fix = "unsafe"

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return finding.severity(project.target) is Severity.INFO

    def check_project(self, project: Project) -> Iterator[Finding]:
        has_websockets = uses_websockets(project) if project.deploy.nginx else False
        for config in project.deploy.nginx:
            for directive in config.named("uwsgi_pass"):
                yield self._uwsgi(config, directive)
            for directive in config.named("proxy_pass"):
                if directive.args and not _upgrades(config, directive.blocks):
                    yield self._plain(config, directive, has_websockets)

    def _uwsgi(self, config: NginxConfig, directive: NginxDirective) -> Finding:
        return self.at_line(
            config.path,
            directive.line,
            "no ASGI server understands uwsgi_pass: it uses uwsgi's own protocol",
            "use proxy_pass, with the headers Host, X-Forwarded-For and X-Forwarded-Proto",
            line_text=config.line_text(directive),
            fix=_to_proxy(config, directive),
        )

    def _plain(self, config: NginxConfig, directive: NginxDirective, is_used: bool) -> Finding:
        return self.at_line(
            config.path,
            directive.line,
            "WebSockets fail here: nginx does not pass the headers Upgrade and Connection on",
            "add " + " ".join(_UPGRADE),
            line_text=config.line_text(directive),
            fix=_add_upgrade(config, directive) if is_used else None,
            severity=None if is_used else (Severity.INFO, Severity.INFO),
        )


def _headers(config: NginxConfig, blocks: tuple[str, ...]) -> list[NginxDirective]:
    """The ``proxy_set_header`` lines in effect: those of the innermost block that has any."""
    lines = config.named("proxy_set_header")
    for depth in range(len(blocks), -1, -1):
        found = [each for each in lines if each.blocks == blocks[:depth]]
        if found:
            return found
    return []


def _upgrades(config: NginxConfig, blocks: tuple[str, ...]) -> bool:
    return any(
        each.args[:1] and each.args[0].lower() == "upgrade" for each in _headers(config, blocks)
    )


def _indent(config: NginxConfig, directive: NginxDirective) -> str:
    line = config.line_text(directive)
    return line[: len(line) - len(line.lstrip())]


def _add_upgrade(config: NginxConfig, directive: NginxDirective) -> Fix:
    """Add the lines next to the headers in effect, else next to ``proxy_pass``."""
    beside = (_headers(config, directive.blocks) or [directive])[-1]
    has_version = any(
        each.blocks == directive.blocks[: len(each.blocks)]
        for each in config.named("proxy_http_version")
    )
    lines = _UPGRADE[1:] if has_version else _UPGRADE
    replaced = [
        each for each in _headers(config, directive.blocks) if each.args[:1] == ("Connection",)
    ]
    indent = _indent(config, beside)
    text = "".join(f"\n{indent}{line}" for line in lines)
    if replaced:
        text = text.replace(f"\n{indent}{_UPGRADE[2]}", "")
    edits = [Edit(config.path, each.start, each.end, _UPGRADE[2]) for each in replaced]
    edits.append(Edit(config.path, beside.end, beside.end, text))
    return Fix("Pass WebSockets on", tuple(edits), safe=False)


def _to_proxy(config: NginxConfig, directive: NginxDirective) -> Fix | None:
    """Replace ``uwsgi_...`` by ``proxy_...``; None if a line has no such counterpart."""
    block = directive.blocks
    others = [
        each
        for each in config.directives
        if each.blocks[: len(block)] == block and each.name.startswith("uwsgi_")
    ]
    if any(each.name not in _COMMON for each in others if each.name != "uwsgi_pass"):
        return None
    indent = _indent(config, directive)
    where = re.sub(r"^uwsgi://", "", directive.args[0]) if directive.args else ""
    lines = [f"proxy_pass http://{where};", *(_HEADERS if not _headers(config, block) else ())]
    edits = [Edit(config.path, directive.start, directive.end, f"\n{indent}".join(lines))]
    edits += [
        Edit(config.path, each.start, each.start + len("uwsgi_"), "proxy_")
        for each in others
        if each.name != "uwsgi_pass"
    ]
    edits += [
        _deletion(config, each)
        for each in config.named("include")
        if each.blocks == block and each.args and each.args[0].endswith("uwsgi_params")
    ]
    return Fix("Use proxy_pass", tuple(edits), safe=False)


def _deletion(config: NginxConfig, directive: NginxDirective) -> Edit:
    """Delete the line of a directive, or the directive alone if the line has anything else."""
    start = config.text.rfind("\n", 0, directive.start) + 1
    end = config.text.find("\n", directive.end) + 1 or len(config.text)
    if config.text[start:end].strip() != config.text[directive.start : directive.end]:
        start, end = directive.start, directive.end
    return Edit(config.path, start, end, "")
