"""What serves the files that uwsgi serves itself: its ``static-map`` and ``check-static``.

Input: an option. Output: what is lost, and lines of nginx and Python that serve the same files. Of
the paths that a project has, WhiteNoise serves those of ``STATIC_ROOT``, and no uploads: it reads
the list of files once, when the server starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.migrate.project import Project

__all__ = ["STATIC_MAPS", "StaticMap", "static_map"]

STATIC_MAPS = ("static-map", "static-map2", "check-static")
_WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"


@dataclass(frozen=True)
class StaticMap:
    """Files that uwsgi serves.

    :ivar effect: what is lost, as text.
    :ivar instead: what to use.
    :ivar is_served: whether the app serves them as well.
    """

    effect: str
    instead: str
    is_served: bool = False


def static_map(project: Project, name: str, value: str) -> StaticMap:
    """The files of one option.

    :param name: one of :data:`STATIC_MAPS`.
    :param value: as written: ``/media=/srv/media``, or a folder for ``check-static``.
    """
    mount, equals, folder = value.partition("=")
    if name == "check-static" or not equals:
        return StaticMap(
            f"the files in {value} are a 404",
            f"nginx: root {value}; location / {{ try_files $uri @app; }}, with proxy_pass in "
            "location @app",
        )
    prefix, folder = mount.strip("/"), folder.rstrip("/")
    lines = f"alias {folder}/;"
    if name == "static-map2":
        lines, folder = f"root {folder};", f"{folder}/{prefix}"
    location = f"nginx: location /{prefix}/ {{ {lines} }}"
    files = f'Mount("/", StaticFiles(directory="{folder}"))'
    mounted = (
        f'bridge.Router({{"/{prefix}": Starlette(routes=[{files}]), "/": app}}), with Starlette, '
        "Mount and StaticFiles of starlette"  # StaticFiles alone raises for a 404
    )
    effect = f"every path below /{prefix}/ is a 404 after the move, unless the app serves it"
    if not _is_static(project, f"/{prefix}/"):
        return StaticMap(effect, f"{location}; or {mounted}")
    if _WHITENOISE in project.settings.strings("MIDDLEWARE"):
        effect = f"/{prefix}/ is left to WhiteNoise, which is in MIDDLEWARE"
        return StaticMap(effect, "compare one file before and after", is_served=True)
    return StaticMap(effect, f"{location}; or WhiteNoise; or {mounted}")


def _is_static(project: Project, prefix: str) -> bool:
    """Whether these are the files that belong to the code, and not uploads."""
    url = project.settings.value("STATIC_URL") if project.is_django else None
    if isinstance(url, str) and url.strip("/"):
        return prefix.startswith(f"/{url.strip('/')}/")
    return "static" in prefix
