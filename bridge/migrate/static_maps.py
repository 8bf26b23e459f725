"""What serves the files that uwsgi serves itself: its ``static-map`` and ``check-static``.

Input: an option. Output: what is lost, and lines of nginx and Python that serve the same files. Of
the paths that a project has, WhiteNoise serves those of ``STATIC_ROOT``, and no uploads: it reads
the list of files once, when the server starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
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


def static_map(project: Project, name: str, values: Sequence[str], folder: str = "") -> StaticMap:
    """The files of one option, or of several with one path.

    :param name: one of :data:`STATIC_MAPS`.
    :param values: as written: ``/media=/srv/media``, or a folder for ``check-static``. uwsgi looks
        a file up in the folder of each of them, in order.
    :param folder: where uwsgi starts: relative folders are below it; empty if that is not known.
    """
    mount, equals, _ = values[0].partition("=")
    if name == "check-static" or not equals:
        roots = [_below(folder, each) for each in values]
        return StaticMap(
            f"the files in {' and '.join(values)} are a 404",
            f"nginx: root {roots[0]}; location / {{ try_files $uri @app; }}, with proxy_pass in "
            "location @app",
        )
    path = f"/{mount.strip('/')}"
    targets = [_below(folder, each.partition("=")[2]) for each in values]
    if name == "static-map2":
        targets = [f"{each}{path}" for each in targets]
    if PurePosixPath(path).suffix and PurePosixPath(targets[0]).suffix:
        return StaticMap(
            f"{path} is a 404 after the move, unless the app serves it",
            f"nginx: location = {path} {{ alias {targets[0]}; }}",
        )
    effect = f"every path below {path}/ is a 404 after the move, unless the app serves it"
    location = _location(path, targets)
    files = f'Mount("/", StaticFiles(directory="{targets[0]}"))'
    mounted = (
        f'; or bridge.Router({{"{path}": Starlette(routes=[{files}]), "/": app}}), with Starlette, '
        "Mount and StaticFiles of starlette"  # StaticFiles alone raises for a 404
    )
    mounted = mounted if len(targets) == 1 else ""
    if not _is_static(project, f"{path}/"):
        return StaticMap(effect, f"{location}{mounted}")
    if _WHITENOISE in project.settings.strings("MIDDLEWARE"):
        effect = f"{path}/ is left to WhiteNoise, which is in MIDDLEWARE"
        return StaticMap(effect, "compare one file before and after", is_served=True)
    # WhiteNoise lists its files at start: with several folders, some are usually for new ones
    whitenoise = "; or WhiteNoise" if mounted else ""
    return StaticMap(effect, f"{location}{whitenoise}{mounted}")


def _below(folder: str, path: str) -> str:
    """A path as nginx needs it, which starts elsewhere."""
    path = path.rstrip("/").removeprefix("./")
    return path if path.startswith("/") or not folder else f"{folder.rstrip('/')}/{path}"


def _location(path: str, folders: Sequence[str]) -> str:
    if len(folders) == 1:
        return f"nginx: location {path}/ {{ alias {folders[0]}/; }}"
    tried = " ".join(f"{each}/$1" for each in folders)
    return f"nginx: location ~ ^{path}/(.*)$ {{ root /; try_files {tried} =404; }}"


def _is_static(project: Project, prefix: str) -> bool:
    """Whether these are the files that belong to the code, and not uploads."""
    url = project.settings.value("STATIC_URL") if project.is_django else None
    if isinstance(url, str) and url.strip("/"):
        return prefix.startswith(f"/{url.strip('/')}/")
    return "static" in prefix
