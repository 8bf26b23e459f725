"""Loading the app that a target names, and every way that can fail, with real modules and files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.load.target import LoadedApp, load
from bridge.errors import AmbiguousApp, AppLoadError

WSGI = "def {}(environ, start_response):\n    return [b'']\n"


@pytest.fixture(autouse=True)
def _restore_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write files below the test's current directory: ``write({"main.py": source})``."""
    monkeypatch.chdir(tmp_path)

    def write(files: dict[str, str]) -> Path:
        for name, source in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(source)
        return tmp_path

    return write


def _fails(target: str, **options: Any) -> AppLoadError:
    with pytest.raises(AppLoadError) as caught:
        load(target, **options)
    assert repr(target) in str(caught.value)
    return caught.value


# -- module:attr -----------------------------------------------------------------------------------


def test_module_and_attribute(write: Write) -> None:
    folder = write({"main.py": WSGI.format("site")})
    loaded = load("main:site")
    assert loaded.app is sys.modules["main"].site
    assert (loaded.target, loaded.source) == ("main:site", "main:site")
    assert loaded.file == folder / "main.py"
    assert loaded.interface == "wsgi"


def test_attribute_of_an_attribute(write: Write) -> None:
    write({"main.py": "class site:\n    class api:\n        app = len\n"})
    assert load("main:site.api.app").app is len


def test_module_in_a_package(write: Write) -> None:
    write(
        {
            "pkg/__init__.py": "",
            "pkg/web.py": "from . import data\napp = data.x",
            "pkg/data.py": "x = len",
        }
    )
    assert load("pkg.web:app").app is len


def test_app_dir_is_searched_first(write: Write) -> None:
    folder = write({"main.py": "app = len", "src/main.py": "app = max"})
    assert load("main:app", app_dir=folder / "src").app is max
    assert sys.path[0] == str(folder / "src")


def test_the_interface_is_detected_lazily(write: Write) -> None:
    write({"main.py": "def app(request): ..."})
    loaded = load("main:app")
    with pytest.raises(AmbiguousApp):
        _ = loaded.interface


# -- factories -------------------------------------------------------------------------------------

FACTORY = "class App:\n    def __init__(self, *args, **named):\n        self.got = args, named\n"


@pytest.mark.parametrize(
    ("call", "args", "named"),
    [
        ("App()", (), {}),
        ("App('x', -1, None)", ("x", -1, None), {}),
        ('App("a:b.c()", key=[1, {"n": (True,)}])', ("a:b.c()",), {"key": [1, {"n": (True,)}]}),
    ],
)
def test_factory_is_called_with_literals(
    write: Write, call: str, args: tuple[object, ...], named: dict[str, object]
) -> None:
    write({"main.py": FACTORY})
    assert load(f"main:{call}").app.got == (args, named)


def test_an_attribute_of_what_a_factory_returns(write: Write) -> None:
    write({"main.py": FACTORY})
    assert load("main:App(1).got").app == ((1,), {})


@pytest.mark.parametrize("argument", ["open('x')", "n", "1 + n", "*[1]", "**{'a': 1}", "lambda: 1"])
def test_arguments_are_never_evaluated(write: Write, argument: str) -> None:
    write({"main.py": FACTORY + "n = 1"})
    error = _fails(f"main:App({argument})")
    assert "the arguments of a factory must be Python literals" in str(error)


@pytest.mark.parametrize(
    "wanted", ["app[0]", "1", "app or 1", "app(", "create app", "x if y else z"]
)
def test_only_names_and_calls_come_after_the_colon(write: Write, wanted: str) -> None:
    write({"main.py": "app = [len]"})
    assert "after the colon, a name or a call is expected" in str(_fails(f"main:{wanted}"))


def test_a_factory_that_raises_is_the_cause(write: Write) -> None:
    write({"main.py": "def create_app(name):\n    raise LookupError('no config ' + name)\n"})
    error = _fails("main:create_app('dev')")
    assert "calling create_app('dev') failed with LookupError: no config dev" in str(error)
    assert isinstance(error.__cause__, LookupError)
    assert "create_app" in "".join(traceback.format_tb(error.__cause__.__traceback__))


def test_an_async_factory_is_refused(write: Write) -> None:
    write({"main.py": "async def create_app(): ..."})
    assert "the factory is async" in str(_fails("main:create_app()"))


# -- a module without an attribute -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["app", "application", "asgi", "wsgi"])
def test_a_module_alone_means_the_app_of_a_usual_name(write: Write, name: str) -> None:
    write({"main.py": f"{name} = len"})
    loaded = load("main")
    assert (loaded.app, loaded.source) == (len, f"main:{name}")


def test_app_comes_before_application(write: Write) -> None:
    write({"main.py": "application = len\napp = max"})
    assert load("main").app is max


def test_a_package_alone_means_the_app_in_its_wsgi_or_asgi_module(write: Write) -> None:
    write(
        {
            "site1/__init__.py": "",
            "site1/asgi.py": "app = len",
            "site1/wsgi.py": "application = max",
        }
    )
    write({"site2/__init__.py": "", "site2/asgi.py": "application = len"})
    assert load("site1").source == "site1.wsgi:application"
    assert load("site2").source == "site2.asgi:application"


def test_a_submodule_called_app_is_not_the_app(write: Write) -> None:
    write({"pkg/__init__.py": "from pkg import app", "pkg/app.py": "", "pkg/wsgi.py": "app = len"})
    assert load("pkg").source == "pkg.wsgi:app"


def test_a_module_without_an_app_suggests_what_looks_like_one(write: Write) -> None:
    write(
        {
            "main.py": "import flask\nsite = flask.Flask('x')\n"
            "def create_app(): ...\ndef f(a, b): ...",
        }
    )
    assert "Did you mean 'main:site' or 'main:create_app()'?" in str(_fails("main"))


def test_a_module_without_anything_like_an_app(write: Write) -> None:
    folder = write({"main.py": "x = 1"})
    error = str(_fails("main"))
    assert f"the module 'main' ({folder / 'main.py'}) has none of app, application" in error
    assert error.endswith("Name the app, as in module:attr")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("app = 'hello'", "its 'app' is of type str"),
        ("application = None", "its 'application' is None"),
        ("app = 1\nwsgi = {}", "its 'app' is of type int and its 'wsgi' is of type dict"),
        ("import json as app", "its 'app' is the module 'json'"),
    ],
)
def test_a_usual_name_that_is_not_an_app_is_named(write: Write, source: str, found: str) -> None:
    folder = write({"main.py": source})
    assert str(_fails("main")).endswith(
        f"the module 'main' ({folder / 'main.py'}) has no app: {found}, which cannot be called. "
        "Name the app, as in module:attr"
    )


def test_a_submodule_with_a_usual_name_is_suggested_if_it_has_an_app(write: Write) -> None:
    write({"pkg/__init__.py": "from pkg import app", "pkg/app.py": "app = len"})
    assert str(_fails("pkg")).endswith(
        "its 'app' is the module 'pkg.app', which cannot be called. Did you mean 'pkg.app'?"
    )


def test_the_app_inside_of_what_a_usual_name_is_is_suggested(write: Write) -> None:
    """Such as a ``dash.Dash`` before Dash 4."""
    write(
        {
            "main.py": "import flask\nclass Dash:\n    server = flask.Flask('x')\n"
            "app = Dash()\nsite = flask.Flask('y')",
        }
    )
    assert "Did you mean 'main:app.server' or 'main:site'?" in str(_fails("main"))


# -- files -----------------------------------------------------------------------------------------


def test_a_file_by_its_path(write: Write) -> None:
    folder = write(
        {"deep/er/main.py": "import helper\napp = helper.app", "deep/er/helper.py": "app = len"}
    )
    loaded = load("deep/er/main.py")
    assert (loaded.app, loaded.source) == (len, "main:app")
    assert loaded.file == folder / "deep/er/main.py"
    assert load(f"{folder}/deep/er/main.py:app").app is len
    assert load("./deep/er/main.py:helper.app").app is len


def test_a_file_with_a_dash_in_its_name(write: Write) -> None:
    write({"my-site.py": "app = len"})
    assert load("my-site.py").app is len


def test_a_file_in_a_package_keeps_its_relative_imports(write: Write) -> None:
    write({"src/a/__init__.py": "", "src/a/b/__init__.py": "from . import data\napp = data.x"})
    write({"src/a/b/data.py": "x = len", "src/a/b/web.py": "from .data import x as app"})
    assert load("src/a/b/web.py").source == "a.b.web:app"
    assert load("src/a/b/__init__.py").source == "a.b:app"


def test_a_missing_file_suggests_similar_names(write: Write) -> None:
    folder = write({"main.py": "", "other.py": ""})
    error = str(_fails("mian.py:app"))
    assert f"there is no file 'mian.py' in {folder}. Did you mean 'main.py'?" in error
    assert "Available files: main.py, other.py" in str(_fails("xyz.py"))
    assert f"the folder {folder / 'none'} does not exist" in str(_fails("none/main.py"))


def test_a_file_with_a_dot_in_its_name_cannot_be_imported(write: Write) -> None:
    write({"my.site.py": ""})
    assert "for example to my_site.py" in str(_fails("my.site.py"))


@pytest.mark.parametrize("target", ["email.py", "email", "time.py"])
def test_a_file_named_like_a_standard_module_is_rejected(write: Write, target: str) -> None:
    import email
    import time

    folder = write({"email.py": "app = len", "time.py": "app = len"})
    error = str(_fails(target))
    assert "is already taken by" in error
    assert str(folder / target.removesuffix(".py")) in error
    assert email
    assert time


# -- missing modules and attributes ----------------------------------------------------------------


def test_a_missing_module_suggests_similar_names(write: Write) -> None:
    folder = write({"main.py": "", "models.py": ""})
    error = _fails("mian:app")
    assert f"there is no module 'mian' in {folder} or on sys.path. Did you mean 'main'?" in str(
        error
    )
    assert error.__cause__ is None
    assert "Available modules: main, models" in str(_fails("zzz:app"))


def test_a_missing_module_that_is_one_folder_down(write: Write) -> None:
    write({"backend/main.py": ""})
    assert "Did you mean 'backend/main.py'?" in str(_fails("main:app"))


def test_a_missing_module_of_a_package(write: Write) -> None:
    folder = write({"pkg/__init__.py": "", "pkg/views.py": ""})
    error = _fails("pkg.veiws:app")
    assert f"no module 'veiws' in the package 'pkg' ({folder / 'pkg'})." in str(error)
    assert "Did you mean 'views'?" in str(error)
    assert error.__cause__ is None


def test_a_dot_for_the_colon(write: Write) -> None:
    write({"main.py": "app = len"})
    error = str(_fails("main.app"))
    assert "'main' is a module, not a package" in error
    assert "Did you mean 'main:app'?" in error


def test_a_missing_attribute_names_what_comes_near(write: Write) -> None:
    folder = write({"main.py": "application = len\nap = max\n"})
    error = str(_fails("main:aplication"))
    assert f"the module 'main' ({folder / 'main.py'}) has no attribute 'aplication'." in error
    assert "Did you mean 'main:application'?" in error


def test_a_missing_attribute_where_only_an_app_of_another_name_is(write: Write) -> None:
    write({"main.py": "import flask\nsite = flask.Flask('x')\n"})
    assert "Did you mean 'main:site'?" in str(_fails("main:app"))


def test_a_missing_attribute_of_an_object(write: Write) -> None:
    write({"main.py": "import flask\napp = flask.Flask('x')\n"})
    error = str(_fails("main:app.wsgi_ap"))
    assert "this flask.app.Flask object has no attribute 'wsgi_ap'" in error
    assert "Did you mean 'main:app.wsgi_app'?" in error


@pytest.mark.parametrize("target", ["", ".", "..", "./", "folder", "folder/", "no/such/folder"])
def test_a_path_that_is_not_a_target_explains_what_a_target_is(write: Write, target: str) -> None:
    write({"folder/readme.txt": "", "no/x": ""})
    error = str(_fails(target))
    assert "A target is module:attr, a .py file, or a folder with the manage.py" in error
    assert ("does not exist" in error) == (target == "no/such/folder")
    assert ("manage.py nor an app" in error or "has no manage.py" in error) == (
        target != "no/such/folder"
    )


def test_a_colon_without_a_module_is_reported(write: Write) -> None:
    write({"main.py": "app = 1\n"})
    assert "the module is missing before the colon, as in main:app" in str(_fails(":app"))


# -- the app's own code fails ----------------------------------------------------------------------


def test_an_import_error_inside_the_module_is_not_a_missing_module(write: Write) -> None:
    write({"main.py": "\n\nimport not_installed_anywhere\n"})
    error = _fails("main:app")
    assert "importing main failed with ModuleNotFoundError" in str(error)
    assert "not_installed_anywhere" in str(error)
    assert isinstance(error.__cause__, ModuleNotFoundError)
    assert traceback.extract_tb(error.__cause__.__traceback__)[-1].lineno == 3


@pytest.mark.parametrize(
    "line", ["import main.sub", "import main", "raise ModuleNotFoundError(name='main')"]
)
def test_a_module_that_fails_to_import_its_own_name_was_found(write: Write, line: str) -> None:
    write({"main.py": f"{line}\nimport main.sub\n"})
    assert "importing main failed with ModuleNotFoundError" in str(_fails("main:app"))


def test_an_error_in_the_parent_package_is_not_a_missing_module(write: Write) -> None:
    write({"pkg/__init__.py": "import pkg.nothing", "pkg/web.py": "app = len"})
    error = _fails("pkg.web:app")
    assert "importing pkg.web failed with ModuleNotFoundError" in str(error)
    assert error.__cause__ is not None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise ImportError", "failed with ImportError"),
        ("x = [", "failed with SyntaxError: '[' was never closed"),
        ("raise ValueError('SECRET_KEY: missing')", "failed with ValueError: SECRET_KEY: missing"),
        ("raise SystemExit(3)", "called sys.exit(3); guard it with if __name__ == '__main__'"),
    ],
)
def test_the_exception_of_the_module_is_the_cause(write: Write, source: str, message: str) -> None:
    write({"main.py": source})
    error = _fails("main.py")
    assert message in str(error)
    assert error.__cause__ is not None


def test_ctrl_c_while_importing_is_not_swallowed(write: Write) -> None:
    write({"main.py": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load("main:app")


# -- Django ----------------------------------------------------------------------------------------

MANAGE = """\
import os
def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")
    raise AssertionError("manage.py is read, never run")
"""
SETTINGS = "SECRET_KEY = 'x'\nROOT_URLCONF = 'mysite.urls'\nALLOWED_HOSTS = ['*']\n"
REPORT = """
import json, sys
from bridge.cli.load.target import load
from bridge.errors import AppLoadError
try:
    loaded = load(sys.argv[1])
except AppLoadError as error:
    print(json.dumps({"error": str(error), "cause": type(error.__cause__).__name__}))
else:
    kind = type(loaded.app)
    print(json.dumps({"app": f"{kind.__module__}.{kind.__qualname__}", "source": loaded.source,
        "file": str(loaded.file), "notes": loaded.notes, "interface": loaded.interface,
        "own": getattr(loaded.app, "own", False)}))
"""


def _project(write: Write, settings: str = "", **files: str) -> Path:
    base = {
        "proj/manage.py": MANAGE.format("mysite.settings"),
        "proj/mysite/__init__.py": "",
        "proj/mysite/settings.py": SETTINGS + settings,
        "proj/mysite/urls.py": "urlpatterns = []",
    }
    given = {f"proj/{name.replace('__', '/')}.py": source for name, source in files.items()}
    return write(base | given) / "proj"


def _report(target: str, **env: str) -> dict[str, Any]:
    # In a separate process: Django can be set up only once in each.
    environment = {**os.environ, **env}
    command = [sys.executable, "-c", REPORT, target]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_django_folder_without_wsgi_py_gets_djangos_handler(write: Write) -> None:
    folder = _project(write)
    report = _report("proj")
    assert report["app"] == "django.core.handlers.wsgi.WSGIHandler"
    assert report["source"] == "Django project proj (mysite.settings)"
    assert report["file"] == str(folder / "manage.py")
    assert report["interface"] == "wsgi"
    assert report["notes"] == []


@pytest.mark.parametrize("target", ["proj", "proj/", "proj/manage.py"])
def test_a_django_folder_with_wsgi_py_gets_its_application(write: Write, target: str) -> None:
    wsgi = (
        "from django.core.wsgi import get_wsgi_application\n"
        "application = get_wsgi_application()\n"
        "application.own = True\n"
    )
    folder = _project(write, "WSGI_APPLICATION = 'mysite.wsgi.application'", mysite__wsgi=wsgi)
    assert _report(target)["own"] is True
    assert _report(str(folder))["own"] is True


def test_the_environment_takes_precedence_over_manage_py(write: Write) -> None:
    _project(write, mysite__other=SETTINGS)
    report = _report("proj", DJANGO_SETTINGS_MODULE="mysite.other")
    assert report["source"] == "Django project proj (mysite.other)"


def test_settings_assigned_in_manage_py_are_found(write: Write) -> None:
    folder = _project(write)
    manage = "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.settings'\n"
    (folder / "manage.py").write_text(manage)
    assert _report("proj")["source"] == "Django project proj (mysite.settings)"


@pytest.mark.parametrize("manage", ["import os\n", "not python at all", "x = config('A', 'b')"])
def test_missing_settings_explain_how_to_name_them(write: Write, manage: str) -> None:
    folder = _project(write)
    (folder / "manage.py").write_text(manage)
    error = _report("proj")["error"]
    assert f"{folder / 'manage.py'} sets no default for DJANGO_SETTINGS_MODULE" in error
    assert "DJANGO_SETTINGS_MODULE=mysite.settings bridge run proj" in error


def test_a_settings_module_that_does_not_exist(write: Write) -> None:
    folder = _project(write)
    (folder / "manage.py").write_text(MANAGE.format("mysite.setings"))
    report = _report("proj")
    assert "there is no module 'setings' in the package 'mysite'" in report["error"]
    assert "Did you mean 'settings'?" in report["error"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("import dj_nothing", "importing mysite.settings failed with ModuleNotFoundError"),
        ("SECRET_KEY = ''\nINSTALLED_APPS = 'x'", "reading the settings failed with"),
        ("INSTALLED_APPS = ['nothing_such']", "setting up Django failed with ModuleNotFoundError"),
        ("WSGI_APPLICATION = 'mysite.wsgi.app'", "there is no module 'wsgi'"),
        ("WSGI_APPLICATION = 'mysite.urls.app'", "has no attribute 'app'"),
    ],
)
def test_an_error_in_a_django_project_is_reported(
    write: Write, settings: str, message: str
) -> None:
    _project(write, settings)
    assert message in _report("proj")["error"]


STATIC = "DEBUG = True\nSTATIC_URL = 'static/'\nINSTALLED_APPS = ['django.contrib.staticfiles']\n"


def test_static_files_are_served_while_debug_is_on(write: Write) -> None:
    _project(write, STATIC)
    report = _report("proj")
    assert report["app"].endswith(".DevelopmentFiles")
    assert report["notes"] == ["DEBUG is on: static files are served from /static/"]


@pytest.mark.parametrize(
    "settings", ["DEBUG = False", "INSTALLED_APPS = []", "MIDDLEWARE = ['whitenoise.middleware.X']"]
)
def test_static_files_are_not_served_otherwise(write: Write, settings: str) -> None:
    _project(write, STATIC + settings, mysite__wsgi="application = lambda environ, start: []")
    with (Path("proj/mysite/settings.py")).open("a") as more:
        more.write("\nWSGI_APPLICATION = 'mysite.wsgi.application'\n")
    assert _report("proj")["app"] == "builtins.function"


def test_an_asgi_application_of_channels_is_suggested(write: Write) -> None:
    own = "async def application(scope, receive, send): ..."
    _project(write, "ASGI_APPLICATION = 'mysite.asgi.application'", mysite__asgi=own)
    assert _report("proj")["notes"] == [
        "WebSockets need its ASGI app, which is another target: bridge run mysite.asgi:application"
    ]


def test_an_asgi_application_made_by_bridge_is_the_app(write: Write) -> None:
    source = """
from bridge.contrib.django import get_asgi_application
application = get_asgi_application()
"""
    _project(write, STATIC + "ASGI_APPLICATION = 'mysite.asgi.application'", mysite__asgi=source)
    report = _report("proj")
    assert report["app"].endswith(".DjangoApplication")
    assert report["notes"] == ["DEBUG is on: static files are served from /static/"]


def test_an_asgi_application_that_cannot_be_imported_is_not_served(write: Write) -> None:
    _project(write, "ASGI_APPLICATION = 'mysite.asgi.application'")
    [note] = _report("proj")["notes"]
    assert note.startswith("its ASGI app is not served: ")
    assert "there is no module 'asgi'" in note


def test_a_loaded_app_is_immutable(write: Write) -> None:
    write({"main.py": "app = len"})
    loaded: LoadedApp = load("main")
    with pytest.raises(AttributeError):
        loaded.app = max  # type: ignore[misc]  # what is tested
