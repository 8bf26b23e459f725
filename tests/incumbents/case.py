"""One application, how it is served, and the requests that are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.incumbents.exchanges import Step

__all__ = ["GUNICORN", "JSON", "UVICORN", "Case", "Serving", "post"]

UVICORN = "uvicorn-httptools"
GUNICORN = "gunicorn-gthread"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Serving:
    """One way to serve an application.

    :ivar server: a name of ``tests.harness.servers``.
    :ivar target: ``module:attr``.
    :ivar is_bridge: a difference is an error.
    """

    server: str
    target: str
    is_bridge: bool = False
    args: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """An application.

    :ivar servings: the others are compared with the first: the application without an adapter,
        where that exists. A target that is not in ``sites`` is a recipe of the page.
    :ivar environment: the name of its packages in ``requirements``, if not that of the case.
    :ivar package: whose version the page names.
    :ivar env: environment variables; ``{folder}`` is a folder of the serving's own.
    :ivar prepare: commands of the environment, run once in a folder that is then copied.
    :ivar varying: patterns of what differs between any two runs.
    """

    name: str
    title: str
    package: str
    servings: Mapping[str, Serving]
    steps: tuple[Step, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[tuple[str, ...], ...] = ()
    varying: tuple[str, ...] = ()
    ready_path: str = "/"
    environment: str = ""

    @property
    def requirements(self) -> str:
        """The file of its packages in ``requirements``, without its ending."""
        return self.environment or self.name


def post(path: str, value: object, **others: Any) -> Step:
    """A step with a JSON body."""
    return Step(path, "POST", headers=JSON, body=json.dumps(value), **others)
