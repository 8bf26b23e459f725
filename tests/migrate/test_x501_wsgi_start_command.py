"""X501: a start command of gunicorn or uwsgi, and the equivalent ASGI command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.http import Http1Client
from tests.migrate.helpers import check_noop, check_transformed, findings, fixed
from tests.migrate.sites import DJANGO, FLASK, procfile
from tests.migrate.starting import started

CODE = "X501"
BRIDGE_ASGI = DJANGO["mysite/asgi.py"].replace("django.core.asgi", "bridge.contrib.django")
ON_BRIDGE = {**DJANGO, "mysite/asgi.py": BRIDGE_ASGI}


def line_after(command: str, files: dict[str, str], target: str = "native") -> str:
    """The command in a Procfile after the fix."""
    after = fixed({**files, **procfile(command)}, CODE, target=target)
    return after["Procfile"].removeprefix("web: ").rstrip("\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("gunicorn mysite.wsgi", "--host 0.0.0.0 --port $PORT --no-access-log"),
        (
            "gunicorn mysite.wsgi:application -b 127.0.0.1:9000 -w 3 --access-logfile -",
            "--host 127.0.0.1 --port 9000 --workers 3",
        ),
        ("gunicorn mysite.wsgi -b :8000", "--host 0.0.0.0 --port 8000 --no-access-log"),
        ("gunicorn mysite.wsgi -b [::]:${PORT}", "--host :: --port ${PORT} --no-access-log"),
        (
            "gunicorn mysite.wsgi --bind=unix:/run/site.sock --access-logfile=-",
            "--uds /run/site.sock --forwarded-allow-ips '*'",
        ),
        (
            "gunicorn mysite.wsgi -b :1 --keep-alive 5 --graceful-timeout 20 --backlog 64 "
            "--log-level WARNING --max-requests 1000 --max-requests-jitter 50 --access-logfile -",
            "--host 0.0.0.0 --port 1 --log-level warning --timeout-keep-alive 5 --backlog 64 "
            "--timeout-graceful-shutdown 20 --limit-max-requests 1000 "
            "--limit-max-requests-jitter 50",
        ),
        (
            "gunicorn mysite.wsgi -b :1 --log-level $LOG_LEVEL --access-logfile -",
            "--host 0.0.0.0 --port 1 --log-level $LOG_LEVEL",
        ),
        (
            "gunicorn mysite.wsgi -b :1 --certfile c.pem --keyfile k.pem --access-logfile -",
            "--host 0.0.0.0 --port 1 --ssl-certfile c.pem --ssl-keyfile k.pem",
        ),
        (
            "gunicorn mysite.wsgi -b :1 --forwarded-allow-ips 10.0.0.7 --access-logfile -",
            "--host 0.0.0.0 --port 1 --forwarded-allow-ips 10.0.0.7",
        ),
        (
            "gunicorn mysite.wsgi -b :1 -k gthread --threads 8 -t 60 --chdir src",
            "--host 0.0.0.0 --port 1 --app-dir src --no-access-log",
        ),
        (
            "uwsgi --http :8000 --module mysite.wsgi --master -p 4 --max-requests 500",
            "--host 0.0.0.0 --port 8000 --workers 4 --limit-max-requests 500",
        ),
    ],
)
def test_each_option_has_its_counterpart(before: str, after: str) -> None:
    assert line_after(before, DJANGO) == f"uvicorn mysite.asgi:application {after}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "gunicorn shop:app -w 2",
            "bridge run shop:app --server uvicorn --host 0.0.0.0 --port $PORT --workers 2 "
            "--threads 4",
        ),
        (
            "gunicorn 'shop:create_app(\"hi\")' -k gthread --threads 8 --graceful-timeout 20",
            "bridge run 'shop:create_app(\"hi\")' --server uvicorn --host 0.0.0.0 --port $PORT "
            "--workers ${WEB_CONCURRENCY:-1} --threads 8 --grace-s 20",
        ),
        (
            "gunicorn shop:app -w 1 -e SCRIPT_NAME=/shop --forwarded-allow-ips 10.0.0.7",
            "bridge run shop:app --server uvicorn --host 0.0.0.0 --port $PORT --workers 1 "
            "--threads 4 --root-path /shop --trusted 10.0.0.7",
        ),
        (
            "gunicorn shop:app -w 1 -b 127.0.0.1:8000",
            "bridge run shop:app --server uvicorn --host 127.0.0.1 --port 8000 --workers 1 "
            "--threads 4 --trusted 127.0.0.1,::1",
        ),
        (
            "gunicorn shop:app -w 1 -b unix:/run/shop.sock",
            "bridge run shop:app --server uvicorn --uds /run/shop.sock --workers 1 --threads 4 "
            "--trusted unix",
        ),
        (
            "gunicorn shop:app -w 1 -b :8000 --forwarded-allow-ips '*'",
            "bridge run shop:app --server uvicorn --host 0.0.0.0 --port 8000 --workers 1 "
            "--threads 4 --trusted 0.0.0.0/0,::/0",
        ),
        (
            "gunicorn shop:app -w 1 -k gevent",
            "bridge run shop:app --server uvicorn --host 0.0.0.0 --port $PORT --workers 1",
        ),
        (
            "uwsgi --http-socket 127.0.0.1:8000 --wsgi-file shop.py --callable app --threads 4",
            "bridge run shop:app --server uvicorn --host 127.0.0.1 --port 8000 --threads 4",
        ),
    ],
)
@pytest.mark.parametrize("target", ["native", "bridge"])
def test_a_wsgi_app_is_started_with_bridge_run(before: str, after: str, target: str) -> None:
    assert line_after(before, FLASK, target) == after


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("gunicorn mysite.wsgi -b :1 --user www", "cannot change to another user"),
        ("gunicorn mysite.wsgi -b :1 -b :2", "several addresses"),
        ("gunicorn mysite.wsgi -b $BIND", "cannot be split into"),
        ("gunicorn mysite.wsgi -c missing.py", "'missing.py' is not recognized"),
        ("gunicorn mysite.wsgi -b :1 --daemon", "foreground"),
        ("gunicorn mysite.wsgi -b :1 -e SCRIPT_NAME=/shop", "FORCE_SCRIPT_NAME"),
        ("gunicorn mysite.wsgi >> web.log", "not recognized"),
        ("uwsgi --module mysite.wsgi --http :1 --uid www", "cannot change to another user"),
    ],
)
def test_no_fix_where_an_option_would_be_lost_silently(command: str, why: str) -> None:
    files = {**DJANGO, **procfile(command)}
    [found] = findings(files, CODE)

    assert found.fix is None
    assert why in found.help
    assert fixed(files, CODE) == files


def test_options_without_counterpart_are_listed() -> None:
    [found] = findings({**DJANGO, **procfile("gunicorn mysite.wsgi -t 9 --preload")}, CODE)

    assert "without a counterpart in uvicorn: -t, --preload" in found.message


def test_the_configuration_file_is_read() -> None:
    files = {
        **DJANGO,
        "gunicorn.conf.py": 'bind = "0.0.0.0:9000"\nworkers = 1 + 2\naccesslog = "-"\n',
        "Dockerfile": 'FROM python\nCMD ["gunicorn", "mysite.wsgi", "--workers", "4"]\n',
    }
    check_transformed(
        CODE,
        files["Dockerfile"],
        'FROM python\nCMD ["uvicorn", "mysite.asgi:application", "--host", "0.0.0.0", "--port", '
        '"9000", "--workers", "4"]\n',
        path="Dockerfile",
        files={name: text for name, text in files.items() if name != "Dockerfile"},
        safe=False,
    )


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("bind = os.environ['BIND']", "host"),
        ("workers = 2 * os.cpu_count() + 1", "workers"),
        ("raw_env = [f'A={os.getpid()}']", "raw_env"),
        ("chdir = os.path.dirname(__file__)", "chdir"),
    ],
)
def test_no_fix_for_a_computed_setting(setting: str, shown: str) -> None:
    files = {
        **DJANGO,
        "gunicorn.conf.py": f"import os\n{setting}\n",
        **procfile("gunicorn mysite.wsgi"),
    }
    [found] = findings(files, CODE)

    assert found.fix is None
    assert f"{shown} is computed in the configuration file" in found.help


@pytest.mark.parametrize(
    "command",
    ["gunicorn", "uwsgi", "gunicorn --bind", "uwsgi --ini", "gunicorn -c", "gunicorn -w4 a b c"],
)
def test_no_fix_for_an_incomplete_command(command: str) -> None:
    [found] = findings({**DJANGO, **procfile(command)}, CODE)

    assert found.fix is None


def test_uwsgi_ini_is_read() -> None:
    files = {
        **FLASK,
        "uwsgi.ini": "[uwsgi]\nhttp = :8000\nmodule = shop:app\nprocesses = 2\nthreads = 4\n",
        **procfile("uwsgi --ini uwsgi.ini"),
    }

    assert fixed(files, CODE)["Procfile"] == (
        "web: bridge run shop:app --server uvicorn --host 0.0.0.0 --port 8000 --workers 2 "
        "--threads 4\n"
    )


def test_an_ini_file_without_a_command_is_found() -> None:
    ini = "[uwsgi]\nhttp = :8000\nmodule = shop:app\n"
    [found] = findings({**FLASK, "uwsgi.ini": ini}, CODE)

    assert (str(found.path), found.line) == ("uwsgi.ini", 3)
    assert "bridge run shop:app" in found.help


def test_a_systemd_unit_no_longer_waits_to_be_notified() -> None:
    check_transformed(
        CODE,
        "[Service]\nType=notify\nExecStart=/srv/venv/bin/gunicorn -b 0.0.0.0:80 \\\n"
        "  --access-logfile - mysite.wsgi\nUser=www\n",
        "[Service]\nType=exec\nExecStart=/srv/venv/bin/uvicorn mysite.asgi:application "
        "--host 0.0.0.0 --port 80\nUser=www\n",
        path="site.service",
        files=DJANGO,
        safe=False,
    )


def test_a_systemd_socket_is_inherited() -> None:
    unit = "[Unit]\nRequires=gunicorn.socket\n[Service]\nExecStart=/bin/gunicorn mysite.wsgi\n"
    after = fixed({**DJANGO, "site.service": unit}, CODE)["site.service"]

    assert "ExecStart=/bin/uvicorn mysite.asgi:application --fd 3 --no-access-log\n" in after


@pytest.mark.parametrize(
    ("socket", "after"),
    [
        (
            "[Socket]\nListenStream=0.0.0.0:8000\nBacklog=64\n",
            "[Socket]\nListenStream=0.0.0.0:8000\nNoDelay=yes\nBacklog=64\n",
        ),
        ("[Socket]\nListenStream = 8000\nNoDelay=no\n", None),
        ("[Socket]\nListenStream=/run/site.sock\n", None),
    ],
)
def test_a_socket_of_systemd_sends_small_responses_at_once(socket: str, after: str | None) -> None:
    unit = "[Service]\nExecStart=/bin/gunicorn mysite.wsgi -b fd://3\n"
    files = {**DJANGO, "site.service": unit, "site.socket": socket}

    assert fixed(files, CODE)["site.socket"] == (after or socket)
    assert findings(files, CODE)[0].help.endswith(", with NoDelay=yes in its socket unit")


def test_for_bridge_django_gets_the_asgi_application_of_bridge() -> None:
    files = {**DJANGO, **procfile("gunicorn mysite.wsgi -b :1 --access-logfile -")}
    after = fixed(files, CODE, target="bridge")

    assert after["Procfile"] == "web: uvicorn mysite.asgi:application --host 0.0.0.0 --port 1\n"
    assert after["mysite/asgi.py"] == BRIDGE_ASGI.replace("application()", "application(threads=4)")


@pytest.mark.parametrize("files", [DJANGO, ON_BRIDGE])
def test_for_bridge_the_number_of_threads_is_kept(files: dict[str, str]) -> None:
    command = procfile("gunicorn mysite.wsgi -b :1 --threads 8 -k gthread")
    after = fixed({**files, **command}, CODE, target="bridge")

    assert after["mysite/asgi.py"] == BRIDGE_ASGI.replace("application()", "application(threads=8)")


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", ".env"])
def test_no_fix_for_options_in_a_variable(name: str) -> None:
    line = '  GUNICORN_CMD_ARGS="--bind=0.0.0.0:8080 --threads=8"\n'
    command = {"Dockerfile": f'{line if name == "Dockerfile" else ""}CMD ["gunicorn", "app:app"]\n'}
    [found] = findings({"app.py": "", name: line, **command}, CODE)

    assert found.fix is None
    assert f"(not fixed automatically: options in GUNICORN_CMD_ARGS ({name}))" in found.help


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "'gunicorn \"shop:create_app()\" -b h:1'",
            "'bridge run \"shop:create_app()\" --server uvicorn --host h --port 1 --threads 4'",
        ),
        (
            "\"gunicorn 'shop:create_app()' -b h:1\"",
            "\"bridge run 'shop:create_app()' --server uvicorn --host h --port 1 --threads 4\"",
        ),
        ('["sh", "-c", "gunicorn \\"shop:create_app()\\" -b :1"]', None),
    ],
)
def test_quotes_inside_quotes_are_kept_valid(before: str, after: str | None) -> None:
    text = f"web:\n  command: {before}\n"

    result = fixed({"shop.py": "", "compose.yaml": text}, CODE)["compose.yaml"]

    assert result == f"web:\n  command: {after or before}\n"


def test_no_fix_without_asgi_py() -> None:
    files = {**DJANGO, **procfile("gunicorn mysite.wsgi")}
    del files["mysite/asgi.py"]
    [found] = findings(files, CODE)

    assert found.fix is None
    assert "E101" in found.help


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("requirements.txt", "gunicorn==22.0\n", "uvicorn[standard]\ngunicorn==22.0\n"),
        (
            "pyproject.toml",
            '[project]\ndependencies = [\n  "django",\n  "gunicorn>=22",\n]\n',
            '[project]\ndependencies = [\n  "django",\n  "uvicorn[standard]",\n'
            '  "gunicorn>=22",\n]\n',
        ),
        (
            "Pipfile",
            '[packages]\ngunicorn = "*"\n',
            '[packages]\nuvicorn = {version = "*", extras = ["standard"]}\ngunicorn = "*"\n',
        ),
        ("requirements.txt", "gunicorn\nuvicorn==0.30\n", "gunicorn\nuvicorn==0.30\n"),
    ],
)
def test_the_package_is_added_to_the_requirements(name: str, before: str, after: str) -> None:
    files = {**DJANGO, **procfile("gunicorn mysite.wsgi"), name: before}

    assert fixed(files, CODE)[name] == after


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn mysite.asgi:application -k uvicorn.workers.UvicornWorker",
        "gunicorn mysite.asgi:application -k asgi",
        "gunicorn --check-config mysite.wsgi",
        "uvicorn mysite.asgi:application",
        "pip install gunicorn",
    ],
)
def test_asgi_servers_are_ignored(command: str) -> None:
    check_noop(CODE, f"web: {command}\n", path="Procfile", files=DJANGO)


def test_a_comment_suppresses_it() -> None:
    text = "# bridge: ignore[X501] the old cluster\nweb: gunicorn mysite.wsgi\n"
    check_noop(CODE, text, path="Procfile", files=DJANGO)


# -- the new command runs --------------------------------------------------------------------------


def page_of(folder: Path) -> bytes:
    """The page that the started server answers, behind a proxy that reports HTTPS."""
    with started(folder) as server:
        client = Http1Client(server.port)
        response = client.fetch("GET", "/", [("X-Forwarded-Proto", "https")])
        assert response.status == 200, server.log()
        return response.body


@pytest.mark.parametrize(
    ("files", "command", "target"),
    [
        (DJANGO, "gunicorn mysite.wsgi -w 1 --graceful-timeout 5 --keep-alive 3", "native"),
        (DJANGO, "gunicorn mysite.wsgi -w 2 --max-requests 100 -t 30", "bridge"),
        (FLASK, "gunicorn \"shop:create_app('hi')\" -w 1 --threads 4", "bridge"),
    ],
)
def test_both_commands_serve_the_same_page(
    files: dict[str, str], command: str, target: str, tmp_path: Path
) -> None:
    before = {**files, **procfile(f"{command} --bind 127.0.0.1:$PORT")}
    after = fixed(before, CODE, target=target)
    pages = []
    for name, project in (("before", before), ("after", after)):
        for path, text in project.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        pages.append(page_of(tmp_path / name))

    assert pages[0] == pages[1]
    assert b"https /" in pages[0]
