"""Request limits that gunicorn or uwsgi enforce, and uvicorn does not.

Larger requests reach the app. gunicorn refuses request lines over 4,094 bytes, more than 100 header
fields and fields over 8,190 bytes; uwsgi refuses heads larger than its buffer, and bodies over
``limit-post``. uvicorn with httptools has no such limits. Flask's ``MAX_CONTENT_LENGTH`` continues
to work, for bodies only.

Before::

    web: gunicorn shop:app --limit-request-line 2000

After::

    # nginx, in front of uvicorn
    large_client_header_buffers 4 2k;
    client_max_body_size 10m;
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.lost_options import REQUEST_LIMITS, lost_items
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class RequestLimitsLost(Rule):
    """See the module's docstring."""

    code = "F710"
    name = "request-limits-lost"
    summary = "request limits that gunicorn or uwsgi enforce, and uvicorn does not"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for item in lost_items(project) if not project.is_django else ():
            option = item.option
            if option.name in REQUEST_LIMITS:
                yield self.at_place(
                    project,
                    option,
                    f"{option.shown} {option.value} is lost: {item.row.why}",
                    item.row.instead,
                )
