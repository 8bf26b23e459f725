"""``bridge top`` and ``bridge stacks``: show what the processes of a server do.

::

    commands      parse the command line
    figures       what the answers of several processes say, and how fast it changes
    screen        the tables of bridge top
    live          bridge top on a terminal: refreshes them, reads keys
    traces        the text of bridge stacks

The answers come from `bridge.control`. They have paths that clients have chosen, and a process may
answer anything: every text is escaped before it is shown.
"""
