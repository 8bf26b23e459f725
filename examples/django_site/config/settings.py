"""Settings of the Harbour Shop, for Django 4.2 and later.

Machine-specific settings come from environment variables:

``DATABASE_URL``   the database; by default the file ``shop.sqlite3`` beside ``manage.py``
``SECRET_KEY``     set it before others can reach the site
``ALLOWED_HOSTS``  host names, separated by commas; by default those of this machine
``REDIS_URL``      sends live updates to all processes; without it they reach only their own process
``DEBUG``          ``1`` for Django's debug pages
``OFFICE_URL``     adds a link to the Harbour Office (the Flask example)
"""

from __future__ import annotations

import os
from pathlib import Path

from config.database import database_from_url

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY") or "django-insecure-only-for-a-demo-set-SECRET_KEY"
DEBUG = os.environ.get("DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,.localhost,127.0.0.1,[::1]").split(",")
OFFICE_URL = os.environ.get("OFFICE_URL", "")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "shop",
]

# the middleware of startproject, unchanged
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.context.page",
            ],
        },
    },
]

DATABASES = {
    "default": database_from_url(os.environ.get("DATABASE_URL", "sqlite:///shop.sqlite3"), BASE_DIR)
}

# How a view reaches the open pages of the quay. The in-memory layer reaches only its own process.
REDIS_URL = os.environ.get("REDIS_URL")
IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
IN_REDIS = {
    "BACKEND": "channels_redis.core.RedisChannelLayer",
    "CONFIG": {"hosts": [REDIS_URL], "prefix": "harbour"},
}
CHANNEL_LAYERS = {"default": IN_REDIS if REDIS_URL else IN_MEMORY}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# Relative, so that Django prepends the mount point: /static/ or /shop/static/.
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR.parent / "theme"]  # the stylesheet shared by all examples

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "shop:catalogue"
LOGOUT_REDIRECT_URL = "shop:catalogue"

# Without DEBUG, Django mails errors to ADMINS. This site has none, so it logs them to stderr.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"django": {"handlers": ["stderr"], "level": "INFO", "propagate": False}},
}
