"""Run a server in this process, and turn the way it ends into an exit code.

``python -m bridge.cli.servers.process SERVER EXIT_S DRAIN_S ARGUMENT...`` does so in a process of
its own. DRAIN_S may be ``None``. The server runs on the main thread and handles the signals itself,
as if started by its own command; no second process could miss a signal or outlive the server.

Servers end in different ways on a signal: some return, some raise the signal again once they have
drained, some call ``sys.exit``. For the parent of ``bridge run``, each of these is exit code 0.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from bridge.cli.drain import announce_before_stop, stop_announcing
from bridge.cli.metrics_folder import remove_folder_at_exit
from bridge.cli.servers.registry import SERVERS
from bridge.cli.servers.spec import ServerSpec
from bridge.cli.shutdown import EXIT_S, force_exit_after, treat_sigterm_as_ctrl_c

__all__ = ["run_master", "run_server"]


def run_server(
    spec: ServerSpec,
    arguments: Sequence[str],
    exit_s: float = EXIT_S,
    *,
    drain_s: float | None = None,
) -> int:
    """Run the server in this process, which should exit afterwards.

    :param exit_s: seconds until the process is ended, worker processes that still drain included.
    :param drain_s: seconds from SIGTERM until the server learns of it; None to announce nothing.
    :returns: 0 if the server stopped normally or by a signal, 1 if it failed.
    """
    if drain_s is not None:
        announce_before_stop(drain_s)
    treat_sigterm_as_ctrl_c()  # until the server has installed its own handler, and after it
    this = os.getpid()
    code = 1
    try:
        code = _run(spec, arguments)
    finally:
        if os.getpid() == this:
            if drain_s is not None:
                stop_announcing()
            force_exit_after(exit_s, code)
    return code


def run_master(
    spec: ServerSpec, arguments: Sequence[str], exit_s: float, *, drain_s: float | None = None
) -> int:
    """The same in a process that may only supervise the workers that serve."""
    spec.prepare_master()
    remove_folder_at_exit()
    signals = _StopSignals()
    code = run_server(spec, arguments, exit_s, drain_s=drain_s)
    if code == 0 and spec.hides_failed_workers and not signals.were_received():
        return 1
    return code


def _run(spec: ServerSpec, arguments: Sequence[str]) -> int:
    this = os.getpid()
    sys.argv = [spec.name, *arguments]
    try:
        spec.run()
    except (KeyboardInterrupt, SystemExit) as error:
        if os.getpid() != this:  # in a forked worker: its exit code is for the master
            raise
        return _exit_code(getattr(error, "code", None))
    return 0


def _exit_code(code: object) -> int:
    if isinstance(code, str):  # the message of sys.exit("...")
        print(code, file=sys.stderr)
    return 0 if code in (None, 0) else 1


class _StopSignals:
    """Records whether this process received SIGINT or SIGTERM, which the server handles.

    Python writes the number of each signal to the wakeup file descriptor. An event loop in this
    thread would replace that descriptor with its own: this is for masters without one.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def were_received(self) -> bool:
        try:
            numbers = os.read(self._reader, 4096)
        except BlockingIOError:
            return False
        return not {signal.SIGINT, signal.SIGTERM}.isdisjoint(numbers)


def _main(name: str, exit_s: str, drain_s: str, *arguments: str) -> int:
    drain = None if drain_s == "None" else float(drain_s)
    return run_master(SERVERS[name], arguments, float(exit_s), drain_s=drain)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
