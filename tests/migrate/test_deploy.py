"""Deploy files: start commands are found, parsed and replaced in their own form."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.migrate.deploy.commands import commands_in
from bridge.migrate.deploy.configs import arguments_in, nginx_in
from bridge.migrate.deploy.read import configs_in, read_deploy
from bridge.migrate.deploy.records import StartCommand
from bridge.migrate.text import Text

ARGV = ("gunicorn", "shop.wsgi", "-w", "4", "--bind=0.0.0.0:$PORT")
LINE = "gunicorn shop.wsgi -w 4 --bind=0.0.0.0:$PORT"


def only(name: str, text: str) -> StartCommand:
    (command,) = commands_in(Path("/project", name), text)
    return command


PLACES = [
    ("Procfile", f"release: python manage.py migrate\nweb: {LINE}\n", 2),
    ("Dockerfile", f"FROM python\nRUN pip install gunicorn\nCMD {LINE}\n", 3),
    ("Dockerfile", 'CMD ["gunicorn", "shop.wsgi", "-w", "4", "--bind=0.0.0.0:$PORT"]\n', 1),
    ("Dockerfile", f'ENTRYPOINT ["sh", "-c", "exec {LINE}"]\n', 1),
    ("Dockerfile", f"CMD python manage.py migrate && \\\n    {LINE}\n", 2),
    ("docker-compose.yml", f"services:\n  web:\n    command: {LINE}\n    ports: []\n", 3),
    ("compose.yaml", f'services:\n  web:\n    command: "{LINE}"\n', 3),
    ("compose.yaml", f"web:\n  command: >\n    gunicorn\n    {LINE[9:]}\n  image: x\n", 3),
    ("compose.yaml", f"web:\n  command: |\n    set -e\n    {LINE}\n", 4),
    (
        "compose.yaml",
        "web:\n  command:\n    - gunicorn\n    - shop.wsgi\n    - -w\n    - '4'\n"
        "    - --bind=0.0.0.0:$PORT\n",
        3,
    ),
    ("compose.yaml", f"web:\n  command:\n    - sh\n    - -c\n    - '{LINE}'\n", 5),
    ("compose.yaml", f"web:\n  command:\n  - sh\n  - -c\n  - {LINE}\n  image: x\n", 5),
    (
        "compose.yaml",
        f"web:\n  command:\n    - sh\n    - -c\n    - |\n      set -e\n      {LINE}\n  image: x\n",
        7,
    ),
    (
        "compose.yaml",
        f"web:\n  command:\n  - sh\n  - -c\n  - >-\n    gunicorn\n    {LINE[9:]}\n  image: x\n",
        6,
    ),
    ("start.sh", f"cat <<EOF >a && echo b\ngunicorn a:b\nEOF\nexec {LINE}\n", 4),
    ("start.sh", f"cat > a \\\n  <<-'a b' <<\\C\n\tgunicorn a\n\ta b\nuvicorn\nC\n{LINE}\n", 7),
    ("start.sh", f"su -c bash www <<EOF\n{LINE}\nEOF\n", 2),
    ("start.sh", f"cat <<<EOF\necho $((1<<A))\n{LINE}\n", 3),
    ("render.yaml", f"services:\n  - startCommand: {LINE}\n", 2),
    ("etc/shop.service", f"[Service]\nUser=gunicorn\nExecStart=/srv/v/bin/{LINE}\n", 3),
    ("shop.service", f"[Service]\nExecStart=/bin/sh -c '{LINE}'\n", 2),
    ("supervisord.conf", f"[program:shop]\ncommand=/srv/v/bin/{LINE}\nuser=www\n", 2),
    (
        "start.sh",
        f"#!/bin/bash\necho starting gunicorn\nexec newrelic-admin run-program {LINE}\n",
        3,
    ),
    ("bin/run", f"#!/usr/bin/env bash\nDEBUG=1 poetry run python -m {LINE} # go\n", 2),
]


@pytest.mark.parametrize(("name", "text", "line"), PLACES)
def test_start_commands_are_found(name: str, text: str, line: int) -> None:
    command = only(name, text)

    assert (command.argv, command.line) == (ARGV, line)
    assert text[command.start : command.end] == command.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", "RUN pip install gunicorn uvicorn\nRUN useradd gunicorn\n"),
        ("start.sh", "pkill gunicorn\nsystemctl restart gunicorn\n# gunicorn shop.wsgi\n"),
        ("start.sh", "which gunicorn || pip install gunicorn\nsudo -u gunicorn ls\n"),
        ("notes.md", f"{LINE}\n"),
        ("start.sh", f"#!/bin/sh\ncat <<EOF\nrun {LINE} to start\nEOF\n"),
        (".github/workflows/ci.yml", "jobs:\n  - run: pip install gunicorn\n"),
    ],
)
def test_a_mention_of_a_server_is_not_a_start_command(name: str, text: str) -> None:
    assert list(commands_in(Path("/project", name), text)) == []


def test_changed_texts_are_read_instead_of_files() -> None:
    procfile, readme = Path("/project/Procfile"), Path("/project/README.md")
    texts = {path: Text(f"web: {LINE}\n", "utf-8", "\n") for path in (procfile, readme)}

    (command,) = read_deploy([procfile, readme], texts).commands

    assert (command.path, command.argv) == (procfile, ARGV)


@pytest.mark.parametrize(("name", "text", "line"), PLACES)
def test_another_command_replaces_it_in_the_same_form(name: str, text: str, line: int) -> None:
    command = only(name, text)
    argv = ("uvicorn", "shop.asgi:application", "--port", "$PORT", "--header", "a b")

    edit = command.replace(argv)
    assert edit is not None
    after = text[: edit.start] + edit.text + text[edit.end :]

    found = only(name, after)
    assert (found.argv, found.line) == (argv, line)


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("compose.yaml", "web:\n  command: '{}'\n", "it's"),
        ("compose.yaml", 'web:\n  command: "{}"\n', 'a"b'),
        ("compose.yaml", 'web:\n  command: "{}"\n', "$A b"),
        ("compose.yaml", "web:\n  command: {}\n", "a: b"),
        ("compose.yaml", "web:\n  command: \"bash -c '{}'\"\n", "a b"),
        ("Dockerfile", 'CMD ["sh", "-c", "{}"]\n', "$A b"),
        ("start.sh", "exec bash -c '{}'\n", "it's"),
    ],
)
def test_a_command_with_a_word_that_cannot_be_quoted_is_not_replaced(
    name: str, text: str, word: str
) -> None:
    command = only(name, text.format(LINE))

    assert command.replace(("uvicorn", "shop.asgi:application", "--root-path", word)) is None
    assert command.replace(("uvicorn", "shop.asgi:application")) is not None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", 'CMD ["sh", "-c", "gunicorn \\"shop:create_app()\\""]\n'),
        ("compose.yaml", 'web:\n  command: "gunicorn \\"shop:create_app()\\""\n'),
        ("compose.yaml", "web:\n  command: 'gunicorn ''shop:app'' -w 2'\n"),
    ],
)
def test_a_command_with_nested_quotes_is_not_replaced(name: str, text: str) -> None:
    assert only(name, text).replace(("uvicorn", "shop.asgi:application")) is None


def test_options_are_parsed_in_all_spellings() -> None:
    command = only("Procfile", "web: gunicorn -w 3 --threads=2 -k gthread -b:80 a:b -w5\n")

    assert command.number("-w", "--workers") == 5
    assert command.number("--threads") == 2
    assert command.option("-b", "--bind") == ":80"
    assert command.option("--timeout") is None
    assert command.number("-k") is None


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("gunicorn -b localhost:8000 shop.wsgi", "shop.wsgi"),
        ("gunicorn shop.wsgi:application", "shop.wsgi:application"),
        ("gunicorn 'shop:create_app()'", "shop:create_app()"),
        ("uwsgi --http :8000 --module shop.wsgi:app", "shop.wsgi:app"),
        ("uvicorn --host 0.0.0.0", None),
    ],
)
def test_the_app_of_a_command_is_found(line: str, target: str | None) -> None:
    assert only("Procfile", f"web: {line}\n").target == target


def test_a_gunicorn_configuration_is_parsed_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.conf.py"
    path.write_text("import sys\nsys.exit(1)\nworkers = 2 * 2 + 1\nbind = [f'{x}']\nthreads = 4\n")

    (config,) = read_deploy([path]).configs

    values = {option.name: (option.value, option.line) for option in config.options}
    assert (values["workers"], values["threads"]) == ((5, 3), (4, 5))


def test_only_the_uwsgi_section_is_parsed() -> None:
    text = "[other]\nx = 1\n[uwsgi]\n# old\nmodule = shop.wsgi\nharakiri=30\n[later]\ny = 2\n"

    (config,) = configs_in(Path("uwsgi.ini"), text)

    values = {option.name: option.value for option in config.options}
    assert values == {"module": "shop.wsgi", "harakiri": "30"}


def test_nginx_directives_know_their_blocks() -> None:
    text = (
        "server {\n  # proxy_pass nowhere;\n  location /ws/ {\n"
        '    proxy_pass http://app;\n    proxy_set_header Host "$host";\n  }\n}\n'
    )

    (config,) = nginx_in(Path("nginx.conf"), text)

    (proxied,) = config.named("proxy_pass")
    assert (proxied.args, proxied.blocks, proxied.line) == (
        ("http://app",),
        ("server", "location /ws/"),
        4,
    )
    assert text[proxied.start : proxied.end] == "proxy_pass http://app;"
    assert config.named("proxy_set_header")[0].args == ("Host", "$host")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("GUNICORN_CMD_ARGS=--threads=8\n", 1, ("--threads=8",)),
        ("A=1\nexport GUNICORN_CMD_ARGS='-w 2 -b :80'\n", 2, ("-w", "2", "-b", ":80")),
        ('ENV A=1 GUNICORN_CMD_ARGS="-w 2" B=2\n', 1, ("-w", "2")),
        ("ENV GUNICORN_CMD_ARGS -w 2 \\\n  --threads 4\n", 1, ("-w", "2", "--threads", "4")),
        ('Environment="GUNICORN_CMD_ARGS=-w 2 --threads 4"\n', 1, ("-w", "2", "--threads", "4")),
        ("Environment='GUNICORN_CMD_ARGS=-w 2'\n", 1, ("-w", "2")),
        ("environment:\n  GUNICORN_CMD_ARGS: -w 2\n  B: 1\n", 2, ("-w", "2")),
        ('environment:\n  - "GUNICORN_CMD_ARGS=-w 2"\n', 2, ("-w", "2")),
        ('env:\n  - name: GUNICORN_CMD_ARGS\n    value: "-w 2"\n', 3, ("-w", "2")),
        ('environment=A="1",GUNICORN_CMD_ARGS="-w 2",B="2"\n', 1, ("-w", "2")),
        ('GUNICORN_CMD_ARGS="-w \'2\n"\n', 1, None),
        ("env:\n  - GUNICORN_CMD_ARGS\n", 2, None),
    ],
)
def test_the_variable_of_gunicorn_is_read(
    text: str, line: int, words: tuple[str, ...] | None
) -> None:
    (found,) = arguments_in(Path("/project/deploy"), text)

    assert (found.line, found.words) == (line, words)
