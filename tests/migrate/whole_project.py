"""A realistic Django project: ``startproject`` with common packages.

Input: an empty folder. Output: a project that gunicorn serves, with WhiteNoise, allauth, REST
framework, Channels, the debug toolbar and CORS headers, a database with a user, and some mistakes
that have no effect under WSGI. It is built by the commands of the installed Django, in
subprocesses.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["PASSWORD", "USER", "build"]

USER, PASSWORD = "alice", "a long pass phrase"

_APPS = (
    '    "channels",\n    "rest_framework",\n    "corsheaders",\n    "debug_toolbar",\n'
    '    "allauth",\n    "allauth.account",\n    "pages",\n'
)
_SETTINGS = """
ALLOWED_HOSTS = ["*"]
STATIC_ROOT = BASE_DIR / "static"
CORS_ALLOWED_ORIGINS = ["https://elsewhere.test"]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
ACCOUNT_EMAIL_VERIFICATION = "none"
LOGIN_REDIRECT_URL = "/whoami/"
DEBUG_TOOLBAR_CONFIG = {"SHOW_TOOLBAR_CALLBACK": "pages.toolbar.show"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
_FILES = {
    "Procfile": "web: gunicorn mysite.wsgi --bind 127.0.0.1:$PORT --workers 1 --timeout 60\n",
    "requirements.txt": "django\ngunicorn\nwhitenoise\n",
    "pages/__init__.py": "",
    "pages/toolbar.py": "def show(request):\n    return request.path == '/toolbar/'\n",
    "pages/models.py": (
        "from django.db import models\n\n\n"
        "class Note(models.Model):\n    text = models.CharField(max_length=80)\n"
    ),
    "pages/middleware.py": (
        "from django.utils.deprecation import MiddlewareMixin\n\n\n"
        "class Stamp(MiddlewareMixin):\n"
        "    def process_response(self, request, response):\n"
        "        response['X-Stamp'] = request.path\n"
        "        return response\n"
    ),
    "pages/views.py": (
        "import asyncio\n\n"
        "from django.contrib.auth.decorators import login_required\n"
        "from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse\n"
        "from django.shortcuts import render\n"
        "from rest_framework import serializers, viewsets\n\n"
        "from .models import Note\n\n\n"
        "def index(request):\n"
        "    return render(request, 'index.html', {'notes': Note.objects.all()})\n\n\n"
        "@login_required\n"
        "def whoami(request):\n"
        "    return HttpResponse(request.user.username)\n\n\n"
        "def stream(request):\n"
        "    return StreamingHttpResponse(f'{n}\\n' for n in range(5))\n\n\n"
        "def file(request):\n"
        "    return FileResponse(open(__file__, 'rb'), as_attachment=True)\n\n\n"
        "async def clock(request):\n"
        "    await asyncio.sleep(0)\n"
        "    return HttpResponse('tick')\n\n\n"
        "def about(request):\n"
        "    names = ('REQUEST_METHOD', 'PATH_INFO', 'SCRIPT_NAME', 'QUERY_STRING')\n"
        "    return JsonResponse({name: request.META[name] for name in names})\n\n\n"
        "class NoteSerializer(serializers.ModelSerializer):\n"
        "    class Meta:\n"
        "        model = Note\n"
        "        fields = ['id', 'text']\n\n\n"
        "class Notes(viewsets.ModelViewSet):\n"
        "    queryset = Note.objects.order_by('id')\n"
        "    serializer_class = NoteSerializer\n"
    ),
    "pages/templates/index.html": (
        "<html><head><title>Notes</title></head><body>{% for note in notes %}<p>{{ note.text }}</p>"
        "{% endfor %}</body></html>\n"
    ),
    "mysite/urls.py": (
        "from django.contrib import admin\n"
        "from django.urls import include, path\n"
        "from rest_framework.routers import DefaultRouter\n\n"
        "from pages import views\n\n"
        "router = DefaultRouter()\n"
        "router.register('notes', views.Notes)\n\n"
        "urlpatterns = [\n"
        "    path('admin/', admin.site.urls),\n"
        "    path('accounts/', include('allauth.urls')),\n"
        "    path('api/', include(router.urls)),\n"
        "    path('__debug__/', include('debug_toolbar.urls')),\n"
        "    path('', views.index),\n"
        "    path('toolbar/', views.index),\n"
        "    path('whoami/', views.whoami),\n"
        "    path('stream/', views.stream),\n"
        "    path('file/', views.file),\n"
        "    path('clock/', views.clock),\n"
        "    path('about/', views.about),\n"
        "]\n"
    ),
}
_FILL = f"""
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
django.setup()
from django.core.management import call_command
call_command("makemigrations", "pages", verbosity=0)
call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
from django.contrib.auth.models import User
User.objects.create_user({USER!r}, password={PASSWORD!r})
from pages.models import Note
Note.objects.create(text="bring bread")
"""


def build(folder: Path) -> None:
    """Create the project in ``folder``, with its database and static files."""
    _run(folder, "-m", "django", "startproject", "mysite", ".")
    settings = folder / "mysite" / "settings.py"
    settings.write_text(_with_extras(settings.read_text("utf-8")), "utf-8")
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    _run(folder, "-c", _FILL)


def _with_extras(text: str) -> str:
    middleware = "django.middleware."
    first = f"    '{middleware}security.SecurityMiddleware',\n"
    last = f"    '{middleware}clickjacking.XFrameOptionsMiddleware',\n"
    for before, after in (
        ("    'django.contrib.staticfiles',\n", f"    'django.contrib.staticfiles',\n{_APPS}"),
        (
            first,
            f'{first}    "whitenoise.middleware.WhiteNoiseMiddleware",\n'
            '    "debug_toolbar.middleware.DebugToolbarMiddleware",\n'
            '    "corsheaders.middleware.CorsMiddleware",\n',
        ),
        (
            last,
            f'{last}    "allauth.account.middleware.AccountMiddleware",\n'
            '    "pages.middleware.Stamp",\n',
        ),
        ("ALLOWED_HOSTS = []\n", ""),
    ):
        assert text.count(before) == 1, f"startproject no longer writes {before!r}"
        text = text.replace(before, after)
    return text + _SETTINGS


def _run(folder: Path, *arguments: str) -> None:
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout


def _environment() -> dict[str, str]:
    """The environment of the test, without the settings of another project."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
