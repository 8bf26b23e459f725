"""E101: no module makes an ASGI application."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import findings, fixed

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
def test_asgi_is_made_from_wsgi_with_its_other_lines(target: str, module: str) -> None:
    assert fixed(SITE, "E101", target=target, unsafe=False) == {
        **SITE,
        "shop/asgi.py": ASGI.format(module=module),
    }


def test_line_ends_of_wsgi_do_not_matter() -> None:
    site = {**SITE, "shop/wsgi.py": WSGI.replace("\n", "\r\n")}

    assert fixed(site, "E101")["shop/asgi.py"] == ASGI.format(module="django.core.asgi")


def test_a_project_without_wsgi_gets_one_from_its_settings() -> None:
    manage = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.dev")\n'
    site = {"manage.py": manage, "shop/settings/dev.py": "DEBUG = True\n"}

    made = fixed(site, "E101")["shop/asgi.py"]

    assert 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.dev")' in made
    assert made.index("setdefault") < made.index("application = get_asgi_application()")


@pytest.mark.parametrize("name", ["shop/asgi.py", "shop/routing.py"])
def test_any_module_that_makes_one_will_do(name: str) -> None:
    text = "from django.core.asgi import get_asgi_application\napp = get_asgi_application()\n"

    assert findings({**SITE, name: text}, "E101") == []


def test_a_project_that_is_not_django_needs_none() -> None:
    assert findings({"app.py": "from flask import Flask\napp = Flask(__name__)\n"}, "E101") == []


def test_a_wrapped_application_is_run_as_it_is_through_bridge_only() -> None:
    wrapped = WSGI.replace("= get_wsgi_application()", "= Wrap(get_wsgi_application())")
    site = {**SITE, "shop/wsgi.py": wrapped}

    made = fixed(site, "E101", target="bridge")["shop/asgi.py"]

    assert "from shop.wsgi import application as wsgi_application" in made
    assert "application = bridge.to_asgi(wsgi_application)" in made
    assert "shop/asgi.py" not in fixed(site, "E101", target="native")
    assert findings(site, "E101", target="native") != []


def test_it_is_told_at_wsgi() -> None:
    found = findings(SITE, "E101")

    assert [(str(each.path), each.line) for each in found] == [("shop/wsgi.py", 1)]
