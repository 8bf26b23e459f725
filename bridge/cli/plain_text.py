"""Text for the console that is shown as it is: paths, names of apps, lines of other programs."""

from __future__ import annotations

from rich.text import Text

from bridge._http.client_text import one_line

__all__ = ["plain_text"]


def plain_text(text: str, *, style: str = "") -> Text:
    """Without markup, and with control characters escaped, which the text may have from outside.

    :param style: rich's, for all of it.
    """
    return Text(one_line(text), style=style)
