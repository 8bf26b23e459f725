"""The app as any WSGI server takes it: ``gunicorn wsgi:app``, ``flask --app wsgi run``."""

from harbour import create_app

app = create_app()
