"""What serves the files of ``static-map`` after the move: lines that work, where needed."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import httpx
import pytest

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import select_rules
from bridge.migrate.runner import check
from tests.docs.nginx import nginx, path_of_nginx
from tests.harness.servers import serve
from tests.harness.tools import skip_without
from tests.migrate.helpers import findings, project_of
from tests.migrate.sites import DJANGO, FLASK

CODE = "X504"
WHITENOISE = 'MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware"]\n'
URLS = 'STATIC_URL = "/assets/"\nMEDIA_URL = "/uploads/"\n'


def found(option: str, *, settings: str = "", flask: bool = False) -> Finding:
    """The finding for an option of ``uwsgi.ini``."""
    module = "shop:app" if flask else "mysite.wsgi"
    files = FLASK if flask else {**DJANGO}
    if settings:
        files["mysite/settings.py"] += settings
    ini = f"[uwsgi]\nmodule = {module}\nhttp = :8000\n{option}\n"
    [finding] = findings({**files, "uwsgi.ini": ini}, CODE, target="bridge")
    return finding


@pytest.mark.parametrize(
    "option",
    [
        "static-map = /media=/srv/media",
        "static-map = /media/=/srv/media/",
        "static-map = /files=/srv/media",
    ],
)
@pytest.mark.parametrize("settings", ["", WHITENOISE])
def test_uploads_get_a_location_and_a_mount_and_no_whitenoise(option: str, settings: str) -> None:
    finding = found(option, settings=settings)
    prefix = option.partition("= /")[2].partition("=")[0].strip("/")

    assert finding.bridge is Severity.ERROR
    assert f"/{prefix}/ is a 404" in finding.message
    assert f"location /{prefix}/ {{ alias /srv/media/; }}" in finding.help
    assert f'bridge.Router({{"/{prefix}": Starlette(' in finding.help
    assert 'StaticFiles(directory="/srv/media")' in finding.help
    assert "WhiteNoise" not in finding.help


@pytest.mark.parametrize("settings", ["", URLS.replace("assets", "static")])
def test_static_files_may_be_left_to_whitenoise(settings: str) -> None:
    finding = found("static-map = /static=/srv/static", settings=settings)

    assert finding.bridge is Severity.ERROR
    assert "WhiteNoise" in finding.help
    assert "location /static/ { alias /srv/static/; }" in finding.help


def test_the_settings_decide_what_is_static() -> None:
    assert "WhiteNoise" in found("static-map = /assets=/srv/a", settings=URLS).help
    assert "WhiteNoise" not in found("static-map = /uploads=/srv/u", settings=URLS).help


def test_whitenoise_in_the_middleware_serves_them_already() -> None:
    files = {**DJANGO, "uwsgi.ini": "[uwsgi]\nmodule = mysite.wsgi\nstatic-map = /static=/srv/s\n"}
    files["mysite/settings.py"] += WHITENOISE
    with project_of(files, target="bridge") as project:
        report = check(project, select_rules([CODE]))

    assert report.findings == ()
    assert [each.bridge for each in report.details] == [Severity.INFO]


def test_without_django_there_is_no_whitenoise_middleware() -> None:
    assert "WhiteNoise" in found("static-map = /static=/srv/static", flask=True).help


def test_static_map2_keeps_the_prefix_below_the_folder() -> None:
    finding = found("static-map2 = /media=/srv")

    assert "location /media/ { alias /srv/media/; }" in finding.help
    assert 'StaticFiles(directory="/srv/media")' in finding.help


def test_a_checked_folder_is_tried_before_the_app() -> None:
    finding = found("check-static = /srv/www")

    assert "root /srv/www" in finding.help
    assert "try_files $uri @app" in finding.help


# -- what the help shows works ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("media")
    (folder / "a.txt").write_text("a file\n")
    return folder


def test_the_location_serves_the_files(media: Path) -> None:
    if path_of_nginx() is None:
        skip_without("nginx", "nginx")
    location = re.search(r"location .*?}", found(f"static-map = /media={media}").help)
    assert location is not None
    server = f"server {{ listen 80; {location.group()} }}"
    with tempfile.TemporaryDirectory() as folder, nginx(server, Path(folder), None) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/media/a.txt")

    assert (answer.status_code, answer.text) == (200, "a file\n")


def test_the_mount_serves_the_files(media: Path, tmp_path: Path) -> None:
    mount = re.search(r"bridge\.Router\(.*?\}\)", found(f"static-map = /media={media}").help)
    assert mount is not None
    code = (
        "import bridge\nfrom flask import Flask\nfrom starlette.applications import Starlette\n"
        "from starlette.routing import Mount\nfrom starlette.staticfiles import StaticFiles\n\n"
        "app = Flask(__name__)\n\n\n@app.get('/')\ndef index():\n    return 'a page'\n\n\n"
        f"application = {mount.group()}\n"
    )
    (tmp_path / "served.py").write_text(code)
    with serve("uvicorn-h11", "served:application", cwd=tmp_path) as server:
        pages = [httpx.get(f"{server.url}{path}") for path in ("/media/a.txt", "/", "/media/b")]

    assert [page.text for page in pages[:2]] == ["a file\n", "a page"]
    assert pages[2].status_code == 404
