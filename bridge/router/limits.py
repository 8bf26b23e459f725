"""The limits of a Router: which hold for which of its WSGI apps, on both kinds of server.

Input: the Router's plan. Output: for ASGI servers, the options of each pool; for WSGI servers, the
threads that each app may occupy. Runs where the Router is made.

Rule 1. A path in ``limits=`` is one below the Router that has the option, or below the mount that
        has. A nested Router with a pool of its own may be mounted at several prefixes: its paths
        are below each of them then.
Rule 2. Limits hold for the WSGI apps that run on the threads of the Router with the option. A path
        that reaches none of them is an error: the limit would do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge._http.paths import below, native, shown
from bridge._http.prefixes import PrefixTable, normal_prefix
from bridge.config import Limit
from bridge.errors import ConfigError
from bridge.router.mounts import Place, Plan
from bridge.router.options import RouterOptions
from bridge.router.server_threads import Bounds, ServerThreads, limits_on_server_threads

__all__ = ["pool_options", "server_limits"]


def pool_options(plan: Plan, pool: RouterOptions) -> dict[str, Any]:
    """The options of the adapter whose threads are those of ``pool``.

    :raises ConfigError: a limit reaches no app that runs there.
    """
    options = pool.for_to_asgi
    if pool.to_asgi.limits:
        options["limits"] = _limits(plan, pool)
    return options


def server_limits(plan: Plan) -> dict[Place, Mapping[str, Bounds]]:
    """For WSGI servers: by place, the threads that requests below each prefix may occupy.

    A path with a limit of its own, below a mount with one, is bounded by both.
    """
    places = [place for place in plan.http.values() if _runs_in_pool(place)]
    by_pool = {
        pool: limits_on_server_threads(_limits(plan, pool)) for pool in {p.pool for p in places}
    }
    found: dict[Place, Mapping[str, Bounds]] = {}
    for place in places:
        bounds = dict(by_pool[place.pool])
        if place.bulkhead is not None:
            name = f"Mount at {shown(place.prefix)!r} with threads={place.bulkhead}"
            own = ServerThreads(place.bulkhead, name)
            bounds = {prefix: each and (*each, own) for prefix, each in bounds.items()}
            bounds.setdefault(native(place.prefix), (own,))
        if bounds:
            found[place] = bounds
    return found


def _runs_in_pool(place: Place) -> bool:
    return place.asgi is None and place.wsgi is not None


def _limits(plan: Plan, pool: RouterOptions) -> dict[str, Limit]:
    """The limits of one pool, by path below the outermost Router: rule 1."""
    if not pool.to_asgi.limits:
        return {}
    roots = {place.pool_root for place in plan.http.values() if place.pool is pool}
    table = PrefixTable(plan.http)
    found = {}
    for path, limit in pool.to_asgi.limits.items():
        prefix = normal_prefix(path, "limits")
        for root in sorted(roots):
            _check_reaches(table, plan.http.values(), pool, root + prefix, path)
            found[shown(root + prefix)] = limit
    return found


def _check_reaches(
    table: PrefixTable[Place], places: Iterable[Place], pool: RouterOptions, prefix: str, path: str
) -> None:
    above = table.find(shown(prefix))
    reached = [place for place in places if below(prefix, place.prefix) is not None]
    reached += [above] if above is not None else []
    if not any(place.pool is pool and _runs_in_pool(place) for place in reached):
        raise ConfigError(
            "limits",
            path,
            "a path of a WSGI app that runs on the threads of this Router. ASGI apps take no "
            "thread, and apps with threads of their own have limits of their own",
        )
