from __future__ import annotations

import asyncio
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.flow.company import PAYMENTS, running

STEPS = [
    "1 web.parse",
    "2 authn.authenticate",
    "3 grant.resolve",
    "4 context.assemble",
    "5 policy.decide",
    "6 mint.prepare",
    "7 ledger.record",
    "8 mint.sign",
    "9 web.respond",
]


class Collector:
    """Takes traces over HTTP, as an OpenTelemetry collector would."""

    def __init__(self):
        self.spans = []

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            sent = ExportTraceServiceRequest.FromString(await reader.readexactly(length))
            self.spans += [s for r in sent.resource_spans for scope in r.scope_spans for s in scope.spans]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
        finally:
            writer.close()


async def test_the_nine_steps_are_spans_under_the_callers_trace(tmp_path):
    collector = Collector()
    server = await asyncio.start_server(collector.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    more = f'[telemetry]\notlp_endpoint = "http://127.0.0.1:{port}/v1/traces"'
    async with running(tmp_path, more=more) as company:
        trace = "0af7651916cd43dd8448eb211c80319c"
        company.http.headers["traceparent"] = f"00-{trace}-b7ad6b7169203331-01"
        token = await company.token("batch", grant_type="client_credentials", scope="payments:read", resource=PAYMENTS)
        jti = (await company.claims(token))["jti"]
        await company.ask("batch", grant_type="client_credentials", scope="payments:write", resource=PAYMENTS)
        person = company.signed_in("alice", int(time.time()))
        await company.exchange("helper", person, resource=PAYMENTS)
    server.close()
    roots = [span for span in collector.spans if span.name == "POST /token"]
    assert len(roots) == 3
    assert {span.trace_id.hex() for span in collector.spans} == {trace}
    names = []
    for root in sorted(roots, key=lambda span: span.start_time_unix_nano):
        steps = [span for span in collector.spans if span.parent_span_id == root.span_id]
        names.append([span.name for span in sorted(steps, key=lambda span: (span.start_time_unix_nano, span.name))])
    granted, refused, exchanged = names
    assert granted == exchanged == STEPS
    assert refused == [step for step in STEPS if not step.startswith(("6", "8"))]
    attributes = {a.key: a.value.string_value for span in roots for a in span.attributes}
    assert attributes["mintwarden.client"] in ("batch", "helper")
    assert jti in {a.value.string_value for span in roots for a in span.attributes}
