"""Custom upload handlers.

Under Django's own ASGI handler they run too late: it receives the whole body into a temporary file
before it calls the view, and only then passes it to the upload handler. The handler cannot show
progress, nor save time or disk space by refusing an upload midway. Under WSGI and with `bridge`
Django parses an upload while it arrives.

Before::

    class Quota(FileUploadHandler):
        def receive_data_chunk(self, raw_data, start):
            if start + len(raw_data) > self.quota:
                raise StopUpload(connection_reset=True)
            return raw_data

After::

    # nginx, before Django sees any of it
    client_max_body_size 20m;
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.functions import is_test
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_DJANGO = "django.core.files.uploadhandler."
_BASES = tuple(
    f"{_DJANGO}{name}"
    for name in ("FileUploadHandler", "MemoryFileUploadHandler", "TemporaryFileUploadHandler")
)
_MESSAGE = "runs only when Django's ASGI handler has the whole upload in a temporary file"
_HELP = "limit sizes at the proxy (client_max_body_size), or use bridge"


class UploadHandlers(Rule):
    """See the module's docstring."""

    code = "V411"
    name = "upload-handler"
    summary = "a custom upload handler: under ASGI it runs after the whole body has arrived"
    native = Severity.WARNING
    bridge = Severity.INFO
    sources = (Source.SOURCES, Source.RUNTIME)
    triggers = ("django.core.files.uploadhandler", "from django.core.files import")

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for cls in module.classes():
            if set(module.base_names(cls)) & set(_BASES) and not is_test(module):
                yield self.at(module, cls, f"{cls.name.value} {_MESSAGE}", _HELP)

    def check_project(self, project: Project) -> Iterator[Finding]:
        setting = project.settings.get("FILE_UPLOAD_HANDLERS")
        if setting is None or setting.place is None:
            return
        module, assignment = setting.place
        for path in project.settings.strings("FILE_UPLOAD_HANDLERS"):
            if not path.startswith(_DJANGO) and project.find(path) is None:
                node = _string(module, assignment, path)
                yield self.at(module, node, f"{path} {_MESSAGE}", _HELP, source=setting.source)


def _string(module: Module, node: cst.CSTNode, value: str) -> cst.CSTNode:
    """The node of a string in a setting, else that of the setting."""
    strings = module.inside(node, cst.SimpleString)
    return next((each for each in strings if each.evaluated_value == value), node)
