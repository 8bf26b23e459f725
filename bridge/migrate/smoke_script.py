"""The script that reports how an app is configured, run from stdin by the project's interpreter.

Input: the path of the output file and the app, ``mysite.asgi:application`` or ``shop:make("x")``,
as arguments; the environment and the folder of the server. Output: JSON in that file, with the
settings module, whether debugging is on, the path of the login page and the allowed hosts; null
where the app has no such thing. Runs on: the main thread of its own process.

Needs only the standard library of Python 3.8 or newer, and what the app imports.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from typing import Any

WRAPPED = ("app", "wsgi_app", "application")
MAX_DEPTH = 6
LOGIN = re.compile(r"(log|sign)-?_?in/?$")


def main(out: str, target: str) -> None:
    sys.path.insert(0, os.getcwd())
    facts = describe(load(target))
    part = f"{out}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(facts, file)
    os.replace(part, out)


def load(target: str) -> Any:
    """The app, as a server loads it; a factory is called as the command calls it."""
    name, _, attribute = target.partition(":")
    module = importlib.import_module(name)
    if "(" in attribute:
        return eval(attribute, vars(module))
    found = module
    for part in (attribute or "application").split("."):
        found = getattr(found, part)
    return found


def describe(app: Any) -> dict[str, Any]:
    if "django.conf" in sys.modules:
        from django.conf import settings

        if settings.configured:
            return {
                "settings": os.environ.get("DJANGO_SETTINGS_MODULE"),
                "debug": settings.DEBUG,
                "login": login_of_django(settings),
                "hosts": list(settings.ALLOWED_HOSTS),
            }
    for _ in range(MAX_DEPTH):
        if isinstance(getattr(app, "debug", None), bool):
            return {"settings": None, "debug": app.debug, "login": login_of_flask(app)}
        app = next((getattr(app, name) for name in WRAPPED if hasattr(app, name)), None)
    return {}


def login_of_django(settings: Any) -> str | None:
    """The path of LOGIN_URL, if the URLconf has it; else that of the admin's login page."""
    from django.shortcuts import resolve_url
    from django.urls import resolve

    for url in (settings.LOGIN_URL, "admin:login"):
        try:
            path = resolve_url(url)
            resolve(path)
        except Exception:  # no such route, or no such name
            continue
        return str(path)
    return None


def login_of_flask(app: Any) -> str | None:
    rules = app.url_map.iter_rules() if hasattr(app, "url_map") else ()
    paths = [rule.rule for rule in rules if not rule.arguments and "GET" in (rule.methods or ())]
    return next((path for path in paths if LOGIN.search(path)), None)


if __name__ == "__main__":
    main(*sys.argv[1:])
