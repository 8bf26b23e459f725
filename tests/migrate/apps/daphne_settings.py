"""Settings with E105: ``DAPHNE`` in the environment selects the order of the apps."""

from __future__ import annotations

import os

SECRET_KEY = "x"
DEBUG = True
STATIC_URL = "static/"
INSTALLED_APPS = ["daphne", "django.contrib.staticfiles"]
if os.environ.get("DAPHNE") == "last":
    INSTALLED_APPS = ["django.contrib.staticfiles", "daphne"]
