"""Export requests of OTLP, each a line of hexadecimal digits, read by OpenTelemetry's own messages: a span a line, in JSON."""

import json
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind)


def attributes(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}


for line in sys.stdin:
    request = ExportTraceServiceRequest.FromString(bytes.fromhex(line.strip()))
    whole = request.SerializeToString()
    request.DiscardUnknownFields()
    assert request.SerializeToString() == whole, "a field that the schema does not have"
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                print(json.dumps({
                    "resource": attributes(of_resource.resource.attributes),
                    "scope": of_scope.scope.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "state": span.trace_state,
                    "name": span.name,
                    "kind": Span.SpanKind.Name(span.kind),
                    "started_ns": span.start_time_unix_nano,
                    "ended_ns": span.end_time_unix_nano,
                    "flags": span.flags,
                    "failed": span.status.code == Status.STATUS_CODE_ERROR,
                    "attributes": attributes(span.attributes),
                }))
