"""Small projects for tests of rules, as texts by path."""

from __future__ import annotations

__all__ = ["DJANGO", "FLASK", "procfile"]

DJANGO = {
    "manage.py": (
        "import os\n"
        "import sys\n\n"
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n\n'
        'if __name__ == "__main__":\n'
        "    from django.core.management import execute_from_command_line\n\n"
        "    execute_from_command_line(sys.argv)\n"
    ),
    "mysite/__init__.py": "",
    "mysite/settings.py": (
        'SECRET_KEY = "test"\nALLOWED_HOSTS = ["*"]\nROOT_URLCONF = "mysite.urls"\nUSE_TZ = True\n'
    ),
    "mysite/urls.py": (
        "from django.http import HttpResponse\n"
        "from django.urls import path\n\n\n"
        "def hello(request):\n"
        '    return HttpResponse(f"{request.scheme} {request.path}")\n\n\n'
        'urlpatterns = [path("", hello)]\n'
    ),
    "mysite/wsgi.py": (
        "import os\n\n"
        "from django.core.wsgi import get_wsgi_application\n\n"
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n\n'
        "application = get_wsgi_application()\n"
    ),
    "mysite/asgi.py": (
        "import os\n\n"
        "from django.core.asgi import get_asgi_application\n\n"
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n\n'
        "application = get_asgi_application()\n"
    ),
}

FLASK = {
    "shop.py": (
        "from flask import Flask, request\n\n\n"
        "def create_app(greeting='hello'):\n"
        "    app = Flask(__name__)\n\n"
        '    @app.get("/")\n'
        "    def index():\n"
        '        return f"{greeting} {request.scheme} {request.path}"\n\n'
        "    return app\n\n\n"
        "app = create_app()\n"
    ),
}


def procfile(command: str) -> dict[str, str]:
    """A Procfile with one web process."""
    return {"Procfile": f"web: {command}\n"}
