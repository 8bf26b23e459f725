"""An ``asgi.py`` with E102: the application is created before the settings module is set."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

application = get_asgi_application()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.migrate.apps.daphne_settings")
