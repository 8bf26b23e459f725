"""The same with the application of bridge."""

from __future__ import annotations

import os

from bridge.contrib.django import get_asgi_application

application = get_asgi_application()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.migrate.apps.daphne_settings")
