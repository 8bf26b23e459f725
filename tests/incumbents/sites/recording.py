"""What an instrumentation reported, as a page of the site itself: ``/recorded?count=2``."""

import json
import threading


class Recording:
    """Reports, in order, until a page has shown them."""

    def __init__(self):
        self._reports = []
        self._changed = threading.Condition()

    def add(self, report):
        with self._changed:
            self._reports.append(report)
            self._changed.notify_all()

    def page(self, count):
        """Wait for ``count`` reports, which may come after the response, and remove them.

        :returns: all reports as JSON, sorted: their order is that of threads.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._reports) >= count, timeout=30)
            taken, self._reports = self._reports, []
        taken.sort(key=lambda report: json.dumps(report, sort_keys=True))
        return json.dumps(taken, sort_keys=True, indent=1)
