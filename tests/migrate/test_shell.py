"""Shell command lines: words, offsets, and the servers that they start."""

from __future__ import annotations

import pytest

from bridge.migrate.deploy.shell import Word, started_by, started_in


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("gunicorn a:b", ["gunicorn", "a:b"]),
        ("/srv/venv/bin/gunicorn 'a:make(\"x\")'", ["/srv/venv/bin/gunicorn", 'a:make("x")']),
        ("DEBUG=1 exec uvicorn a:b # go", ["uvicorn", "a:b"]),
        ("cd /srv && gunicorn a:b \\\n  -w 4", ["gunicorn", "a:b", "-w", "4"]),
        ("python manage.py runserver 8000", ["runserver", "8000"]),
        ("sudo -u www -- daphne a:b", ["daphne", "a:b"]),
        ("python -m hypercorn a:b", ["hypercorn", "a:b"]),
    ],
)
def test_the_server_and_its_arguments_are_found(text: str, argv: list[str]) -> None:
    (started,) = started_in(text)

    assert [word.value for word in started.words] == argv
    assert all(text[word.start : word.end].strip("'\"") == word.value for word in started.words)


def test_each_command_of_a_script_is_checked() -> None:
    text = "cat <<EOF\ngunicorn no:t\nEOF\ngunicorn a:b & uvicorn c:d; echo daphne\n"

    assert [started.program for started in started_in(text)] == ["gunicorn", "uvicorn"]


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ("gunicorn a:b", ()),
        ("sh -c 'gunicorn a:b'", ("'",)),
        ('bash -ec "exec gunicorn a:b"', ('"', "\\")),
    ],
)
def test_quotes_around_a_command_line_are_forbidden_inside_it(
    text: str, forbidden: tuple[str, ...]
) -> None:
    (started,) = started_in(text)

    assert started.forbidden == forbidden
    assert text[started.words[0].start :].startswith("gunicorn a:b")


def test_an_unbalanced_quote_does_not_hide_the_next_line() -> None:
    assert [started.program for started in started_in("echo it's\ngunicorn a:b\n")] == ["gunicorn"]


@pytest.mark.parametrize(
    "text", ["pip install gunicorn", "sudo -u gunicorn ls", "systemctl stop x"]
)
def test_other_commands_start_no_server(text: str) -> None:
    words = [Word(value, 0, 0) for value in text.split()]

    assert started_by(words) is None
