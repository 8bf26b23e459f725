"""``bridge bench``: serves the user's own app in every setup that this machine has, in turn.

Input: a target, as `bridge run` accepts it. Output: a table, bars and a verdict, which also reports
where a setup without bridge is faster. The modules::

    command    the command line, and the run       options    BenchOptions, checked
    setups     what can serve the app here         served     the app that each server imports
    measure    starts the servers, loads them      results    measurements and the verdict on them
    report     terminal, JSON and SVG output       svg        bars and lines as SVG

``processes`` starts, observes and stops one server; ``load`` runs one load, with wrk where it is
installed and with ``generator`` where it is not. The project's own ``benchmarks/`` use these, too.
"""
