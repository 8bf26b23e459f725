"""Replaces the transport of Sentry's SDK: import it before a recipe that calls ``init``."""

import functools

import sentry_sdk
from recording import Recording
from sentry_sdk.transport import Transport

recording = Recording()


class Recorder(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.type in ("event", "transaction") and "/recorded" not in str(item.payload.json):
                recording.add(essence(item.payload.json))


def essence(event):
    """What does not differ from run to run, without the span of bridge's own signal receiver."""
    trace = event["contexts"]["trace"]
    return {
        "exceptions": [exception(each) for each in event.get("exception", {}).get("values", ())],
        "breadcrumbs": [each["message"] for each in event.get("breadcrumbs", {}).get("values", ())],
        "spans": [span for span in spans(event) if "bridge.contrib.django" not in span[1]],
        "trace": {key: trace[key] for key in ("op", "origin", "status") if key in trace},
        "is_of_the_client": trace["trace_id"] == "a" * 32,
        **{key: event.get(key) for key in ("type", "message", "transaction", "tags", "user")},
        **{key: event.get(key) for key in ("level", "request", "transaction_info")},
    }


def spans(event):
    return [(each["op"], each.get("description", "")) for each in event.get("spans", ())]


def exception(value):
    frames = [(each["module"], each["function"]) for each in value["stacktrace"]["frames"]]
    return {key: value[key] for key in ("type", "value", "mechanism")} | {"frames": frames}


sentry_sdk.init = functools.partial(sentry_sdk.init, transport=Recorder)
