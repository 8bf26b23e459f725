"""Script name and proxy trust, which uvicorn treats differently from gunicorn.

Rate limits, logs and ``REMOTE_ADDR`` checks may use an address that the client made up.
``--forwarded-allow-ips`` lets gunicorn take the scheme from a header; uvicorn also takes the
client's address, from ``X-Forwarded-For``: with ``*`` its leftmost entry, which any client can
write. Paths may be wrong: gunicorn strips ``SCRIPT_NAME`` from the path of a request, and uvicorn's
``--root-path`` expects that a proxy has done so.

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
from bridge.migrate.translation import script_name
from bridge.migrate.wsgi_servers import text_at, wsgi_servers

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_OVERWRITE = "have the proxy overwrite the header: proxy_set_header X-Forwarded-For $remote_addr"
_HELP = f"set the proxy's address or network instead of *, or {_OVERWRITE}"


class ProxyTrust(Rule):
    """See the module's docstring."""

    code = "X506"
    name = "script-name-and-proxy-trust"
    summary = "SCRIPT_NAME, or trust in every proxy: uvicorn treats both differently"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for server in wsgi_servers(project):
            yield from self._mounted(project, server)
            yield from self._trusting(project, server)
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
                        f"{each.args[0]} does not set a script name: to an ASGI server it is a "
                        "header like any other",
                        _root_path(project, "/..."),
                        line_text=config.line_text(each),
                    )

    def _mounted(self, project: Project, server: Server) -> Iterator[Finding]:
        command = server.command
        name = script_name(server, text_at(project, command.path) if command else "")
        place = command or server.options.get("mount") or server.options.get("raw_env")
        if name is None or place is None or project.settings.value("FORCE_SCRIPT_NAME"):
            return
        yield self.at_place(
            project,
            place,
            f"SCRIPT_NAME {name} stays in the path: {server.program} strips it, uvicorn's "
            "--root-path does not",
            _root_path(project, name),
        )

    def _trusting(self, project: Project, server: Server) -> Iterator[Finding]:
        option = server.options.get("forwarded_allow_ips")
        if option is not None and option.value == "*":
            yield self.at_place(
                project,
                option,
                "forwarded_allow_ips is *: unlike gunicorn, uvicorn then takes the client's "
                "address from the leftmost entry of X-Forwarded-For, which the client can write",
                _HELP,
            )

    def _at_command(self, project: Project, command: StartCommand) -> Finding:
        return self.at_place(
            project,
            command,
            "every proxy is trusted: the client's address is the leftmost entry of "
            "X-Forwarded-For, which the client can write",
            _OVERWRITE if command.option("--uds") else _HELP,
        )


def _trusts_all(command: StartCommand) -> bool:
    return command.program == "bridge" and "0.0.0.0/0" in str(command.option("--trusted"))


def _root_path(project: Project, name: str) -> str:
    if project.is_django:
        return f'set FORCE_SCRIPT_NAME = "{name}" in the settings, and remove SCRIPT_NAME'
    if project.target is Target.BRIDGE:
        return f"use bridge run --root-path {name}, which accepts paths with and without it"
    return f"use --root-path {name}, and have the proxy strip it: proxy_pass http://app/;"
