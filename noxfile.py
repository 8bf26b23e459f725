"""Development tasks: ``nox -l`` lists the sessions, ``nox -s tests-3.13`` runs one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
FREE_THREADED = "3.13"
WITH_FREE_THREADED_WHEELS = [
    "a2wsgi",
    "bottle",
    "click",
    "django",
    "falcon",
    "fastapi",
    "flask-sock",
    "flask[async]",
    "gunicorn",
    "h2",
    "httpx",
    "hypercorn",
    "hypothesis",
    "libcst",
    "nest-asyncio",
    "opentelemetry-sdk",
    "prometheus-client",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "python-multipart",
    "pyyaml",
    "quart",
    "rich",
    "starlette",
    "uvicorn",
    "waitress",
    "websockets",
    "wsproto",
]
WITHOUT_FREE_THREADED_WHEELS = [  # tests that import packages without one, such as uvloop
    "tests/sync/test_django_orm.py",
    "tests/sync/test_flask_views.py",
    "tests/unit/test_interface.py",
]

nox.options.sessions = ["lint", "typing", "core", "docs"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests, including those with servers, databases, a browser and the documentation."""
    session.install("-e", ".[test,docs]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS)
def core(session: nox.Session) -> None:
    """Run the tests on one ASGI and one WSGI server, without browser and long runs."""
    session.install("-e", ".[test]")
    marks = ["-m", "not full and not browser"]
    folders = ["tests/unit", "tests/conformance", "tests/sync"]
    session.run("pytest", *marks, *folders, *session.posargs)
    session.run("pytest", *marks, "-k", "uvicorn or gthread", "tests/servers", *session.posargs)


@nox.session
def servers(session: nox.Session) -> None:
    """Run only the tests on real servers."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/servers", *session.posargs)


@nox.session(python="3.12")
@nox.parametrize("django", ["4.2", "5.2", "6.0"])
def migrate_projects(session: nox.Session, django: str) -> None:
    """Run `bridge migrate fix` on whole projects of each supported Django, and serve the result."""
    extras = ["whitenoise", "django-allauth", "djangorestframework", "channels"]
    extras += ["django-debug-toolbar", "django-cors-headers", "httpx", "h2"]
    session.install("-e", ".[migrate,uvicorn,gunicorn]", f"django~={django}.0", *extras)
    session.install("pytest", "pytest-asyncio", "pytest-timeout", "hypothesis")
    session.run("pytest", "tests/migrate/test_whole_projects.py", *session.posargs)


@nox.session(python="3.12")
@nox.parametrize("django", ["4.2", "5.2", "6.0"])
def django(session: nox.Session, django: str) -> None:
    """Run the Django tests on releases older than the default one."""
    session.install("-e", ".[test]")
    session.install(f"django~={django}.0")
    paths = ["tests/django", "tests/promises/test_p09_django_keeps_its_connections.py"]
    session.run("pytest", *paths, *session.posargs)


@nox.session(python="3.12")
@nox.parametrize("asgiref", ["3.8.1", "3.9.2", "3.10.0", "3.11.1", "3.12.1", "3.13.0"])
def asgiref(session: nox.Session, asgiref: str) -> None:
    """The sync helpers on each version of asgiref whose private state they were checked against."""
    session.install("-e", ".[test]")
    session.install(f"asgiref=={asgiref}")
    session.run("pytest", "tests/sync", "tests/unit/sync", "tests/unit/threads", *session.posargs)


@nox.session
def plugins(session: nox.Session) -> None:
    """Run the tests of pytest's plugins, also on trio."""
    session.install("-e", ".[test]", "trio")
    session.run("pytest", "tests/plugins", *session.posargs)


@nox.session(python="3.12")
def migrate_elsewhere(session: nox.Session) -> None:
    """Run `bridge migrate` in an environment of its own, on projects of older Pythons."""
    session.install(".[migrate]", "pytest", "pytest-asyncio", "pytest-timeout")
    session.install("httpx", "h2", "hypothesis")
    for version in ("3.8", "3.9", "3.10"):
        folder = Path(session.create_tmp()).resolve() / version
        session.run(f"python{version}", "-m", "venv", str(folder), external=True)
        session.run(str(folder / "bin" / "pip"), "install", "--quiet", "django", external=True)
        session.env[f"BRIDGE_DJANGO_{version}"] = str(folder / "bin" / "python")
    paths = ["tests/migrate/test_introspection.py", "-k", "bridge_does_not_support"]
    session.run("pytest", *paths, *session.posargs)


@nox.session(python="3.12")
def migrate_trees(session: nox.Session) -> None:
    """Run `bridge migrate check` on large packages and compare with the reviewed findings."""
    session.install("-e", ".[migrate]")
    packages = "from tests.migrate.trees import PINNED; print(*PINNED.values())"
    found = session.run("python", "-c", packages, silent=True) or ""
    folder = session.create_tmp()
    session.run("pip", "install", "--quiet", "--no-deps", "--target", folder, *found.split())
    session.run("python", "-m", "tests.migrate.trees", folder, *session.posargs)


@nox.session(python="3.12")
def migrate_deployments(session: nox.Session) -> None:
    """Read the pinned deployments of thirteen projects and compare with the expected inventories.

    Git fetches their files into a cache; ``-- --copies FOLDER`` takes them from bare repositories,
    ``owner+name/repo``, instead.
    """
    session.install("-e", ".[migrate]")
    cache = session.cache_dir / "deployments"
    session.run("python", "-m", "tests.migrate.deployments", str(cache), *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run the long tests: calls must not hang; threads, descriptors and memory must not grow."""
    session.install("-e", ".[test]")
    session.run(
        "pytest", "tests/sync/test_soak.py", *session.posargs, env={"BRIDGE_SOAK_CALLS": "200000"}
    )


@nox.session
def schedules(session: nox.Session) -> None:
    """Run the unit and sync tests with threads that alternate as often as they can.

    Under Python's development mode, which includes asyncio's debug mode.
    """
    session.install("-e", ".[test]")
    plugin = ["-p", "tests.harness.frequent_switches"]
    folders = session.posargs or ["tests/unit", "tests/sync"]
    session.run("python", "-X", "dev", "-m", "pytest", *plugin, *folders)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Send 3,000 malformed requests to each server, natively and through bridge, and compare.

    Takes at most an hour, on loopback only; ``nox -s fuzz -- --server waitress --seed 7`` repeats
    one request.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the core in 300 places, one at a time, and list the changes that no test notices.

    Takes several hours; ``nox -s mutants -- --sample 40 sync`` less. Interrupted, the same command
    goes on where it was.
    """
    session.install("-e", ".[test]", "cosmic-ray")
    folder = session.create_tmp()
    session.run("python", "-m", "tests.mutants", "--folder", folder, *session.posargs)


@nox.session
def typing(session: nox.Session) -> None:
    """Run mypy --strict on the package and the tests."""
    session.install("-e", ".[dev]")
    session.run("mypy", "bridge", "wsgi_asgi_bridge.py", "tests")


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff: rules and format."""
    session.install("ruff>=0.8")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, with warnings as errors."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure bridge and its peers, and update the documentation unless arguments are passed.

    Needs wrk, PostgreSQL and two CPUs. Takes half an hour; ``nox -s bench -- --quick`` two minutes.
    """
    session.install("-e", ".[test]")
    arguments = session.posargs or ["--out", "docs/explanation/results"]
    session.run("python", "-m", "benchmarks", *arguments)


@nox.session
def overload(session: nox.Session) -> None:
    """Count useful responses in an overload, and update the documentation. Takes 15 minutes."""
    session.install("-e", ".[test]")
    arguments = session.posargs or ["--out", "docs/explanation/results"]
    session.run("python", "-m", "benchmarks.overload", *arguments)


@nox.session
def loop_lag(session: nox.Session) -> None:
    """Measure the event loop beside computing threads, and update the documentation."""
    session.install("-e", ".[test]")
    arguments = session.posargs or ["--out", "docs/explanation/results"]
    session.run("python", "-m", "benchmarks.loop_lag", *arguments)


@nox.session
def sizing(session: nox.Session) -> None:
    """Compare the model of `bridge plan-capacity` with servers, and update the documentation.

    Takes ten minutes.
    """
    session.install("-e", ".[test]")
    arguments = session.posargs or ["--out", "docs/explanation/results"]
    session.run("python", "-m", "benchmarks.sizing", *arguments)


@nox.session(python=False)
def free_threading(session: nox.Session) -> None:
    """Run tests, and a million requests, on a free-threaded Python; measure what two threads gain.

    Builds that Python from Debian's source package, as root, which takes some minutes the first
    time. The packages are those that have a wheel for it.
    """
    folder = Path(session.create_tmp()).resolve()
    build = [".ci/python-without-gil", FREE_THREADED, str(folder / f"python-{FREE_THREADED}t")]
    built = (session.run(*build, external=True, silent=True) or "").split()[-1]
    venv = folder / "venv"
    session.run(built, "-m", "venv", str(venv), external=True)
    python = str(venv / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    session.run(*install, "--editable", ".", *WITH_FREE_THREADED_WHEELS, external=True)
    env = {"PYTHON_GIL": "0"}
    marks = ["-m", "not full and not browser"]
    folders = ["tests/unit", "tests/sync", "tests/conformance"]
    left_out = [f"--ignore={path}" for path in WITHOUT_FREE_THREADED_WHEELS]
    session.run(python, "-m", "pytest", *marks, *left_out, *folders, external=True, env=env)
    benchmark = [python, "-m", "benchmarks.free_threading"]
    session.run(*benchmark, *session.posargs, external=True, env=env)


@nox.session
def hosts(session: nox.Session) -> None:
    """Stop, upgrade, kill and cut off hosts behind HAProxy, and restart Redis, under load.

    In network namespaces, as root, with iproute2, haproxy and redis-server. Takes ten minutes;
    ``nox -s hosts -- --write`` updates the documentation. The Kubernetes manifests are validated
    against its schemas before.
    """
    session.install("-e", ".[test]", "kubernetes-validate")
    session.run("kubernetes-validate", "--strict", "deploy/kubernetes/site.yaml")
    session.run("python", "-m", "tests.hosts", *session.posargs)


@nox.session
def beside(session: nox.Session) -> None:
    """Send 10,000 HTTP requests beside open WebSockets: none lost, p99 at most 1.5 times.

    500 WebSockets under uvicorn, 1,000 under gunicorn, and 10,000 on one worker of gunicorn, for
    which ``ulimit -Hn`` must allow 10,512 descriptors.
    """
    session.install("-e", ".[test]")
    command = ["python", "-m", "benchmarks.websockets_beside"]
    session.run(*command, *session.posargs)
    gunicorn = [*command, "--server", "gunicorn"]
    session.run(*gunicorn, "--sockets", "1000", *session.posargs)
    session.run(*gunicorn, "--sockets", "10000", "--rounds", "1", "--limit", "3", *session.posargs)


@nox.session(python=["3.11", "3.13"])
@nox.parametrize("gunicorn", ["gunicorn==21.2.0", "gunicorn==23.0.0", "gunicorn"])
def websocket_servers(session: nox.Session, gunicorn: str) -> None:
    """WebSockets on releases of gunicorn: each kind of worker, with TLS and without."""
    session.install("-e", ".[test]")
    session.install(gunicorn)
    folder = "tests/servers/to_wsgi"
    names = ["bare_dup", "websocket_workers", "websocket_endings"]
    session.run("pytest", *(f"{folder}/test_{name}.py" for name in names), *session.posargs)
    path = f"{folder}/test_websockets.py"
    session.run("pytest", path, "-k", "gunicorn or gthread", *session.posargs)


@nox.session
def websocket_sessions(session: nox.Session) -> None:
    """Play 200 random sessions of a WebSocket under gunicorn and under uvicorn, and compare."""
    session.install("-e", ".[test]")
    path = "tests/servers/to_wsgi/test_websocket_transcripts.py"
    session.run("pytest", path, *session.posargs, env={"BRIDGE_TEST_SESSIONS": "200"})


@nox.session
def websocket_frameworks(session: nox.Session) -> None:
    """WebSockets of frameworks that the ordinary tests do not install, under gunicorn."""
    session.install("-e", ".[test]")
    session.install("litestar", "strawberry-graphql")
    session.run("pytest", "tests/servers/to_wsgi/test_websocket_frameworks.py", *session.posargs)


@nox.session
def autobahn(session: nox.Session) -> None:
    """Run Autobahn's fuzzing client: gunicorn through bridge against uvicorn's codecs.

    Its program runs on Python 2.7, with pip, only. All cases take two hours;
    ``nox -s autobahn -- --cases '7.*'`` runs some.
    """
    folder = Path(session.create_tmp()).resolve()
    wstest = folder / "venv" / "bin" / "wstest"
    if not wstest.exists():
        python = shutil.which("python2.7")
        if python is None or subprocess.run([python, "-c", ""]).returncode:
            session.error("autobahntestsuite needs Python 2.7, and no python2.7 on PATH works")
        session.run("pip", "install", "--quiet", "virtualenv<20.22")  # the last for Python 2.7
        session.run("virtualenv", "--quiet", "--python", python, str(folder / "venv"))
        pip = str(folder / "venv" / "bin" / "pip")
        session.run(pip, "install", "--quiet", "autobahntestsuite", external=True)
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.autobahn", "--wstest", str(wstest), *session.posargs)


@nox.session(python="3.12")
def incumbents(session: nox.Session) -> None:
    """Serve MLflow, Airflow, Dash and others as today and through bridge, and compare.

    ``nox -s incumbents -- mlflow dash`` runs only these; without names it takes half an hour.
    ``--write`` updates the documentation.
    """
    folder = session.create_tmp()
    session.run("python", "-m", "tests.incumbents", "--folder", folder, *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """Run other projects' test suites through bridge: ``nox -s peers -- flask starlette``.

    Without names all of them, which takes half an hour. ``--write`` updates the documentation.
    """
    folder = ["--folder", session.create_tmp()]
    session.run("python", "-m", "tests.suites", *folder, *session.posargs)
