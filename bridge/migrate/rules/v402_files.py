"""Files that Django's own ASGI handler sends: ``FileResponse``, and those of WhiteNoise.

A download of 1 GB takes 1 GB of memory: a ``FileResponse`` reads its file with sync calls, so the
handler makes a list of all its blocks in a thread before it sends the first. WhiteNoise serves
static files as ``FileResponse``, and as a sync-only middleware it also sends each request through a
thread (M205). With `bridge` files are streamed, by the server itself where it can.

Before::

    def invoice(request, number):
        return FileResponse(open(path_of(number), "rb"))

After::

    def invoice(request, number):  # nginx sends the file: location /files/ { internal; ... }
        return HttpResponse(headers={"X-Accel-Redirect": f"/files/{number}.pdf"})
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.functions import is_test
from bridge.migrate.middleware import entries
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_RESPONSES = ("django.http.FileResponse", "django.http.response.FileResponse")
_WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"


class Files(Rule):
    """See the module's docstring."""

    code = "V402"
    name = "files-buffered"
    summary = "FileResponse or WhiteNoise: whole files are read into memory under ASGI"
    native = Severity.WARNING
    bridge = None
    sources = (Source.SOURCES, Source.RUNTIME)
    triggers = ("FileResponse",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for call in module.nodes(cst.Call):
            if module.qualified(call) in _RESPONSES and not is_test(module):
                yield self.at(
                    module,
                    call,
                    "Django's ASGI handler reads the whole file into memory before it sends any",
                    "let the proxy send large files (X-Accel-Redirect), or use bridge",
                )

    def check_project(self, project: Project) -> Iterator[Finding]:
        for entry in entries(project):
            if entry.fact.path != _WHITENOISE or entry.setting is None:
                continue
            if not (entry.fact.async_capable and not entry.fact.error):
                module, node = entry.setting
                yield self.at(
                    module,
                    node,
                    "Django's ASGI handler reads each static file of WhiteNoise into memory before "
                    "it sends anything",
                    "let the proxy or a CDN serve STATIC_ROOT, or use bridge",
                    source=entry.source,
                )
