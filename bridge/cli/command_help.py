"""Commands whose ``--help`` has a section for each group of options, and describes arguments.

Also the types of options that are numbers, whose errors name what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["CommaList", "Command", "Group", "Integer", "Number", "argument", "option"]

F = TypeVar("F", bound=Callable[..., Any])

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Option(click.Option):
    """:param section: the heading of its section in the help."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)


class _Argument(click.Argument):
    """:param description: for its entry in the help. click 8 has none for arguments."""

    section = "Arguments"

    def __init__(self, *args: Any, description: str, **kwargs: Any) -> None:
        self.description = description
        super().__init__(*args, **kwargs)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.human_readable_name, self.description


def option(*names: str, section: str, **attributes: Any) -> Callable[[F], F]:
    """As :func:`click.option`, in a section of the help."""
    return click.option(*names, cls=_Option, section=section, **attributes)


def argument(name: str, *, help: str, **attributes: Any) -> Callable[[F], F]:
    """As :func:`click.argument`, with a description."""
    return click.argument(name, cls=_Argument, description=help, **attributes)


class Integer(click.IntRange):
    """As :class:`click.IntRange`, whose own error for ``8k`` is "not a valid integer range"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            allowed = (
                f"of {self.min} or more" if self.max is None else f"from {self.min} to {self.max}"
            )
            self.fail(f"expected an integer {allowed}, not {value!r}", param, ctx)


class Number(click.FloatRange):
    """As :class:`click.FloatRange`, with an error like those of :class:`Integer`, also for NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = super().convert(value, param, ctx)
        except click.BadParameter:
            number = math.nan
        if math.isnan(number):
            self.fail(f"expected a number of {self.min:g} or more, not {value!r}", param, ctx)
        return number


class CommaList(click.ParamType[tuple[str, ...]]):
    """Several values with commas between them; a configuration file may have them as an array."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        values = value.split(",") if isinstance(value, str) else value
        stripped = tuple(each.strip() for each in values)
        if "" in stripped:
            self.fail("expected values with commas between them, none of them empty", param, ctx)
        return stripped


class Command(click.Command):
    """A command whose help has sections, the arguments first and ``--help`` last."""

    def __init__(self, name: str | None, **attributes: Any) -> None:
        super().__init__(name, context_settings=CONTEXT_SETTINGS, **attributes)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(each, "section", "Other"), []).append(record)
        for title, records in sections.items():
            with formatter.section(click.style(title, bold=True)):
                formatter.write_dl(records)


class Group(click.Group):
    """A group of commands, in the order of their definition. Alone it shows its help."""

    command_class = Command

    def __init__(self, name: str | None, **attributes: Any) -> None:
        super().__init__(name, context_settings=CONTEXT_SETTINGS, **attributes)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)
