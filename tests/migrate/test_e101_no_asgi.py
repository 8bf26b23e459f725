"""E101: no module makes an ASGI application."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.http import Http1Client
from tests.harness.servers import serve
from tests.migrate.helpers import findings, fixed
from tests.migrate.sites import DJANGO

WSGI = '''"""
WSGI config for shop.
"""
import os
from dotenv import load_dotenv
from django.core.wsgi import get_wsgi_application

load_dotenv()  # before the settings
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = get_wsgi_application()
'''
ASGI = '''"""
ASGI config for shop.
"""
import os
from dotenv import load_dotenv
from {module} import get_asgi_application

load_dotenv()  # before the settings
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = get_asgi_application()
'''
SITE = {"shop/__init__.py": "", "shop/settings.py": "DEBUG = True\n", "shop/wsgi.py": WSGI}


@pytest.mark.parametrize(
    ("target", "module"), [("native", "django.core.asgi"), ("bridge", "bridge.contrib.django")]
)
def test_asgi_is_made_from_wsgi_and_keeps_its_other_lines(target: str, module: str) -> None:
    assert fixed(SITE, "E101", target=target, unsafe=False) == {
        **SITE,
        "shop/asgi.py": ASGI.format(module=module),
    }


def test_line_ends_of_wsgi_are_normalised() -> None:
    site = {**SITE, "shop/wsgi.py": WSGI.replace("\n", "\r\n")}

    assert fixed(site, "E101")["shop/asgi.py"] == ASGI.format(module="django.core.asgi")


def test_without_wsgi_asgi_is_made_from_the_settings() -> None:
    manage = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.dev")\n'
    site = {"manage.py": manage, "shop/settings/dev.py": "DEBUG = True\n"}

    made = fixed(site, "E101")["shop/asgi.py"]

    assert 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.dev")' in made
    assert made.index("setdefault") < made.index("application = get_asgi_application()")


@pytest.mark.parametrize("name", ["shop/asgi.py", "shop/routing.py"])
def test_any_module_that_makes_an_application_is_enough(name: str) -> None:
    text = "from django.core.asgi import get_asgi_application\napp = get_asgi_application()\n"

    assert findings({**SITE, name: text}, "E101") == []


def test_a_project_without_django_is_ignored() -> None:
    assert findings({"app.py": "from flask import Flask\napp = Flask(__name__)\n"}, "E101") == []


def test_a_wrapped_application_has_a_fix_for_bridge_only() -> None:
    wrapped = WSGI.replace("= get_wsgi_application()", "= Wrap(get_wsgi_application())")
    site = {**SITE, "shop/wsgi.py": wrapped}

    made = fixed(site, "E101", target="bridge")["shop/asgi.py"]

    assert "from shop.wsgi import application as wsgi_application" in made
    assert "application = bridge.to_asgi(wsgi_application)" in made
    assert "shop/asgi.py" not in fixed(site, "E101", target="native")
    assert findings(site, "E101", target="native") != []


def test_it_is_reported_at_wsgi() -> None:
    found = findings(SITE, "E101")

    assert [(str(each.path), each.line) for each in found] == [("shop/wsgi.py", 1)]


# -- a wsgi.py that does more ----------------------------------------------------------------------

HEAD = (
    "import os\n\nfrom django.core.wsgi import get_wsgi_application\n\n"
    'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n'
)
WRAPPED = {
    "a function": (
        "_application = get_wsgi_application()\n\n\n"
        "def application(environ, start_response):\n"
        '    environ["SCRIPT_NAME"] = "/there"\n'
        "    return _application(environ, start_response)\n"
    ),
    "a name of its own": (
        "def there(app):\n"
        "    def application(environ, start_response):\n"
        '        environ["SCRIPT_NAME"] = "/there"\n'
        "        return app(environ, start_response)\n\n"
        "    return application\n\n\n"
        "app = get_wsgi_application()\napp = there(app)\n"
    ),
    "made when it is asked": (
        "def application(environ, start_response):\n"
        '    environ["SCRIPT_NAME"] = "/there"\n'
        "    return get_wsgi_application()(environ, start_response)\n"
    ),
    "changed afterwards": (
        "class Application:\n"
        "    def __init__(self, app):\n        self.app = app\n\n"
        "    def __call__(self, environ, start_response):\n"
        '        environ["SCRIPT_NAME"] = "/there"\n'
        "        return self.app(environ, start_response)\n\n\n"
        "application = get_wsgi_application()\n"
        "globals().update(application=Application(application))\n"
    ),
}
PLAIN = {
    "annotated": (
        "from django.core.handlers.wsgi import WSGIHandler\n\n"
        "application: WSGIHandler = get_wsgi_application()\n"
    ),
    "with names of WSGI around it": (
        'WSGI_NAME = os.environ.get("MYSITE_WSGI_NAME", "WSGI")\n'
        "application = get_wsgi_application()\n"
    ),
    "with two names": "application = get_wsgi_application()\napp = application\n",
}


def site_with(wsgi: str) -> dict[str, str]:
    site = {**DJANGO, "mysite/wsgi.py": HEAD + wsgi}
    del site["mysite/asgi.py"]
    return site


def page_of(site: dict[str, str], folder: Path) -> bytes:
    for name, text in site.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with serve("uvicorn-h11", "mysite.asgi:application", cwd=folder) as server:
        return Http1Client(server.port).fetch("GET", "/").body


@pytest.mark.parametrize("case", WRAPPED)
def test_a_wrapped_application_is_served_with_its_wrapper(case: str, tmp_path: Path) -> None:
    site = site_with(WRAPPED[case])

    assert fixed(site, "E101", target="native") == site
    assert page_of(fixed(site, "E101", target="bridge", unsafe=False), tmp_path) == b"http /there/"


@pytest.mark.parametrize("case", PLAIN)
@pytest.mark.parametrize("target", ["native", "bridge"])
def test_a_plain_application_is_copied_and_served(case: str, target: str, tmp_path: Path) -> None:
    site = fixed(site_with(PLAIN[case]), "E101", target=target, unsafe=False)

    assert site["mysite/asgi.py"].endswith(
        PLAIN[case].replace("get_wsgi_application", "get_asgi_application")
    )
    if "two names" not in case:
        assert page_of(site, tmp_path) == b"http /"


def test_wsgi_middleware_that_is_a_function_is_found() -> None:
    [found] = findings(site_with(WRAPPED["a function"]), "E104")

    assert "def application(environ, start_response)" in found.message


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        ("native", "from configurations.asgi import get_asgi_application\n"),
        (
            "bridge",
            "import configurations\nfrom bridge.contrib.django import get_asgi_application\n\n"
            "configurations.setup()\n",
        ),
    ],
)
def test_django_configurations_is_still_set_up(target: str, lines: str) -> None:
    wsgi = (
        'import os\n\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
        'os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")\n\n'
        "from configurations.wsgi import get_wsgi_application\n\n"
        "application = get_wsgi_application()\n"
    )
    made = fixed({**SITE, "shop/wsgi.py": wsgi}, "E101", target=target)["shop/asgi.py"]

    assert made == wsgi.replace(
        "from configurations.wsgi import get_wsgi_application\n", lines
    ).replace("get_wsgi", "get_asgi")


def test_no_fix_for_django_configurations_without_wsgi() -> None:
    manage = (
        'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
        'os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")\n'
    )
    site = {"manage.py": manage, "shop/settings.py": ""}

    assert [each.fix for each in findings(site, "E101")] == [None]


def test_the_package_is_added_to_the_requirements_for_bridge() -> None:
    site = {**SITE, "requirements.txt": "django\ngunicorn\n"}

    assert fixed(site, "E101", target="native")["requirements.txt"] == "django\ngunicorn\n"
    assert fixed(site, "E101", target="bridge")["requirements.txt"] == (
        "django\nwsgi-asgi-bridge\ngunicorn\n"
    )
