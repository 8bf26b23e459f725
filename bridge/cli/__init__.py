"""The command ``bridge``, also ``python -m bridge``. Needs the extra ``[cli]``: typer and rich.

What enters: a command line. What leaves: a running server, or one line on stderr and an exit code:
2 for a command line that cannot be carried out, 1 where the app or the server failed, 0 for all
else, Ctrl-C and SIGTERM included.

How ``bridge run`` comes to serve, in the order of the modules::

    commands   the options, as typer parses them       options   what may go with what
    servers    each server's own command line          address   is the port free?
    run        load, look, tell (panel), hand over     serve     the server, in this very process

The server never gets the user's app itself but the importable ``bridge.cli.served:app``, which
reads a :class:`~bridge.cli.target.TargetSpec` from the environment. So it is the same app whether
the server imports it here, in forked or spawned workers, or anew after a reload.
"""
