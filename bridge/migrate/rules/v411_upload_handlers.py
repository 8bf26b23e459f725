"""Upload handlers of a project's own.

Under WSGI Django parses an upload while it arrives, and a handler can show its progress or refuse
it midway. Django's own ASGI handler takes the whole body into a temporary file before the view is
called: the handler sees it only then, at once, and cannot save the time or the disk. Through
`bridge` it is parsed while it arrives.

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
_MESSAGE = "sees an upload only when all of it is in a temporary file, under Django's ASGI handler"
_HELP = "limit sizes at the proxy (client_max_body_size), or move through bridge"


class UploadHandlers(Rule):
    """See the module's docstring."""

    code = "V411"
    name = "upload-handler"
    summary = "a custom upload handler: called when the whole body is there under ASGI"
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
    """The string in a setting, else the setting."""
    strings = module.inside(node, cst.SimpleString)
    return next((each for each in strings if each.evaluated_value == value), node)
