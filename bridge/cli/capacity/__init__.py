"""``bridge plan-capacity``: the threads, workers and hosts that a load needs, and what they hold.

Input: the load, and the service time of a request, given or measured. Output: the numbers, each
with its calculation. The modules::

    command    the command line, and the run      options   CapacityOptions, checked
    queueing   Little's law and Erlang C          model     the deployment for a load
    figures    what it holds: database, sockets   measure   requests to a running server
    report     text and JSON output

All but ``measure`` and ``command`` are pure. `bridge.migrate.capacity` is kept apart: it reads from
deploy files how many requests an old server runs at once, and knows no load and no service time.
"""
