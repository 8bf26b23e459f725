"""Script name and proxy trust, which mean other things to uvicorn than to gunicorn.

gunicorn strips ``SCRIPT_NAME`` from the path that comes in; uvicorn's ``--root-path`` expects a
proxy to have done so. ``--forwarded-allow-ips`` lets gunicorn take the scheme from a header;
uvicorn takes the client's address as well, from ``X-Forwarded-For``: with ``*`` its leftmost entry,
which any client can write. Rate limits, logs and ``REMOTE_ADDR`` checks then believe the client.

Before::

    web: uvicorn mysite.asgi:application --forwarded-allow-ips '*'

After::

    web: uvicorn mysite.asgi:application --forwarded-allow-ips 10.0.0.7
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.deploy.records import StartCommand
from bridge.migrate.deploy.server import Server
from bridge.migrate.findings import Finding, Severity, Source, Target
from bridge.migrate.rule import Rule
from bridge.migrate.serving import script_name
from bridge.migrate.wsgi_servers import text_at, wsgi_servers

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_OVERWRITE = "have the proxy overwrite the header: proxy_set_header X-Forwarded-For $remote_addr"
_HELP = f"name the proxy's address or network instead of *, or {_OVERWRITE}"


class ProxyTrust(Rule):
    """See the module's docstring."""

    code = "X506"
    name = "script-name-and-proxy-trust"
    summary = "SCRIPT_NAME, or trust in every proxy: uvicorn takes both in another way"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for asked in wsgi_servers(project):
            yield from self._mounted(project, asked)
            yield from self._trusting(project, asked)
        for command in project.deploy.starting("uvicorn", "bridge"):
            if command.option("--forwarded-allow-ips") == "*" or _trusts_all(command):
                yield self._at_command(project, command)
        for config in project.deploy.nginx:
            for each in config.named("uwsgi_param", "proxy_set_header"):
                name = each.args[0].lower().replace("-", "_") if each.args else ""
                if name in ("script_name", "x_script_name"):
                    yield self.at_line(
                        config.path,
                        each.line,
                        f"{each.args[0]} in a header: an ASGI server takes it for any other header",
                        _root_path(project, "/..."),
                        line_text=config.line_text(each),
                    )

    def _mounted(self, project: Project, asked: Server) -> Iterator[Finding]:
        command = asked.command
        name = script_name(asked, text_at(project, command.path) if command else "")
        place = command or asked.options.get("mount") or asked.options.get("raw_env")
        if name is None or place is None or project.settings.value("FORCE_SCRIPT_NAME"):
            return
        yield self.at_place(
            project,
            place,
            f"SCRIPT_NAME {name}: {asked.program} strips it from the path, uvicorn's --root-path "
            "does not",
            _root_path(project, name),
        )

    def _trusting(self, project: Project, asked: Server) -> Iterator[Finding]:
        option = asked.options.get("forwarded_allow_ips")
        if option is not None and option.value == "*":
            yield self.at_place(
                project,
                option,
                "forwarded_allow_ips is *: uvicorn, other than gunicorn, then also believes the "
                "leftmost address in X-Forwarded-For, which the client can write",
                _HELP,
            )

    def _at_command(self, project: Project, command: StartCommand) -> Finding:
        return self.at_place(
            project,
            command,
            "every proxy is trusted: the client's address is the leftmost one in "
            "X-Forwarded-For, which the client can write",
            _OVERWRITE if command.option("--uds") else _HELP,
        )


def _trusts_all(command: StartCommand) -> bool:
    return command.program == "bridge" and "FORWARDED_ALLOW_IPS=*" in command.argv


def _root_path(project: Project, name: str) -> str:
    if project.is_django:
        return f'set FORCE_SCRIPT_NAME = "{name}" in the settings, and leave SCRIPT_NAME out'
    if project.target is Target.BRIDGE:
        return f"use bridge run --root-path {name}: it takes paths with and without it"
    return f"use --root-path {name}, and have the proxy strip it: proxy_pass http://app/;"
