"""The rules as Django system checks, and `manage.py bridge_check`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.servers import ROOT

MANAGE = """\
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""
SETTINGS = """\
SECRET_KEY = "x"
INSTALLED_APPS = ["bridge.contrib.django_checks"]
MIDDLEWARE = ["shop.middleware.Header"]
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
"""
MIDDLEWARE = """\
from django.utils.deprecation import MiddlewareMixin


class Header(MiddlewareMixin):
    def __call__(self, request):
        response = self.get_response(request)
        response["X-Shop"] = "1"
        return response
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    texts = {
        "manage.py": MANAGE,
        "shop/__init__.py": "",
        "shop/settings.py": SETTINGS,
        "shop/middleware.py": MIDDLEWARE,
        "shop/urls.py": "urlpatterns = []\n",
        "shop/asgi.py": "from django.core.asgi import get_asgi_application\n"
        "application = get_asgi_application()\n",
        "pyproject.toml": '[tool.bridge.migrate]\ntarget = "native"\n',
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def manage(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if "DJANGO" not in key}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=site,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_tagged_check_reports_each_finding(site: Path) -> None:
    done = manage(site, "check", "--tag", "asgi")

    assert done.returncode == 1
    assert (
        "shop/middleware.py:5: (bridge.M202) every request under ASGI is a 500: Header"
        in done.stderr
    )
    assert "HINT: add an async __acall__" in done.stderr


def test_other_commands_do_not_run_it(site: Path) -> None:
    done = manage(site, "showmigrations")

    assert done.returncode == 0
    assert "bridge.M202" not in done.stderr


def test_bridge_check_reports_the_same_with_options(site: Path) -> None:
    done = manage(site, "bridge_check", "--select", "M202", "--format", "json")

    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert [each["rule"] for each in report["findings"]] == ["M202"]
    assert report["introspected"] is True


def test_through_bridge_the_same_project_is_clean(site: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(site, tmp_path / "moved")
    asgi = moved / "shop" / "asgi.py"
    asgi.write_text(asgi.read_text().replace("django.core.asgi", "bridge.contrib.django"))

    done = manage(moved, "bridge_check", "--target", "bridge")

    assert done.returncode == 0, done.stdout


def test_an_invalid_option_is_one_line(site: Path) -> None:
    done = manage(site, "bridge_check", "--select", "Z999")

    assert done.returncode == 2
    assert "no rule 'Z999'" in done.stderr


def test_bridge_check_accepts_what_the_move_drops(site: Path) -> None:
    ini = "[uwsgi]\nmodule = mysite.wsgi\nhttp = :80\nattach-daemon = worker\n"
    (site / "uwsgi.ini").write_text(ini)

    accepted = manage(site, "bridge_check", "--accept", "attach-daemon", "--fail-level", "never")
    unknown = manage(site, "bridge_check", "--accept", "colour")

    assert accepted.returncode == 0, accepted.stderr
    assert unknown.returncode == 2
    assert "accept = colour: must be one of attach-daemon" in unknown.stderr
