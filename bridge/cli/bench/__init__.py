"""``bridge bench``: the user's own app, served in every way that this machine can, side by side.

What enters: a target, as `bridge run` takes it. What leaves: a table, bars, and a verdict that says
so where another way is faster. In the order of the modules::

    command    the options, as typer parses them      ways        how the app could be served
    compare    all ways in turn, A B C A B C          served      what each server imports
    verdict    which way is fastest, honestly         report      table and bars on the terminal
    svg        the bars as a picture

``processes`` starts, watches and ends a server; ``load`` asks it for pages, with wrk where that is
installed and with ``generator`` where not. The project's own ``benchmarks/`` use these as well.
"""
