"""Records the spans of OpenTelemetry's SDK: import it before a recipe."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from recording import Recording

recording = Recording()


class Exporter(SpanExporter):
    def export(self, spans):
        for span in spans:
            if "/recorded" not in f"{span.name} {span.attributes}":
                recording.add(essence(span))
        return SpanExportResult.SUCCESS


def essence(span):
    """What does not differ from run to run."""
    return {
        "name": span.name,
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes),
        "events": [(event.name, event.attributes["exception.type"]) for event in span.events],
        "is_of_the_client": span.context.trace_id == int("a" * 32, 16),
        "is_child_of_the_client": span.parent is not None and span.parent.is_remote,
        "is_child_here": span.parent is not None and not span.parent.is_remote,
    }


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Exporter()))
trace.set_tracer_provider(provider)
