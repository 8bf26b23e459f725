"""The command ``bridge``, also ``python -m bridge``. Needs the extra ``[cli]``: click and rich.

Exit codes: 2 for a command line that cannot be executed, 1 if the app or the server failed, 0
otherwise, also after Ctrl-C and SIGTERM.

``bridge run`` works in these steps::

    commands, targets, options    parse the command line
    load/, served_apps            import the user's apps
    servers/                      choose a server, build its command line
    address                       check that the address is free
    panel                         show what is about to be served
    servers/process               run the server
    served, build_app             build the app, where the server imports it

The server never receives the user's app itself but imports ``bridge.cli.served:app``, which reads
an :class:`~bridge.cli.build_app.AppSpec` from the environment. So the app is the same whether the
server imports it in this process, in forked or spawned workers, or again after a reload.
"""
