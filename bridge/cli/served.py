"""``bridge.cli.served:app``: the app that every server of `bridge run` imports.

Importing it loads the user's app, see `bridge.cli.build_app`. Nothing else belongs here.
"""

from __future__ import annotations

from typing import Any

from bridge.cli.build_app import AppSpec, build_app

app: Any = build_app(AppSpec.from_environment())
