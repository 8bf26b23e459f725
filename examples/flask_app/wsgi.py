"""The app for WSGI servers: ``gunicorn wsgi:app``, ``flask --app wsgi run``."""

from harbour import create_app

app = create_app()
