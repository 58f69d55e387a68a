"""The OpenAPI document is true: schemathesis calls a running service by it, with good and bad requests, and finds
nothing that the document does not say."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator

import httpx2
import jsonschema_rs
import msgspec
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mintwarden.web.admin.api import OPERATIONS
from mintwarden.web.admin.openapi import describe
from tests.flow.company import Company, running
from tests.flow.test_administration import admin_token

EXAMPLES = 8
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
]
DOCUMENT = json.loads(msgspec.json.encode(describe(OPERATIONS, issuer="https://tokens.example.com")))


def scopes() -> Iterator[str]:
    for scope in sorted({scope for operation in OPERATIONS for scope in operation.scopes}):
        if not scope.endswith("*") and scope != "mintwarden:keys.manage":
            yield scope


async def test_what_is_served_is_what_the_table_says(company: Company):
    served = await company.http.get("/admin/v1/openapi.json")
    assert served.status_code == 200
    assert served.json() == DOCUMENT


def test_the_document_is_openapi():
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    assert DOCUMENT["openapi"] == "3.1.0"
    ids = [one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values()]
    assert ids == list(dict.fromkeys(ids))
    assert len(ids) == len(OPERATIONS)
    text = repr(DOCUMENT)
    named = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert named <= set(DOCUMENT["components"]["schemas"])


async def test_schemathesis_finds_nothing_that_the_document_does_not_say(tmp_path):
    async with running(tmp_path, server="admin_rate = 10000\nadmin_burst = 100000\n") as company:
        token = await admin_token(company, " ".join(scopes()))
        failures = await asyncio.to_thread(call_everything, company.base, token)
    assert not failures, "\n".join(failures)


def call_everything(base: str, token: str) -> list[str]:
    config = SchemathesisConfig()
    schema = schemathesis.openapi.from_dict(DOCUMENT, config=config)
    failures = []
    with httpx2.Client(base_url=base) as http:
        assert http.get("/healthz").status_code == 200
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode:
            failures += call_one(operation, mode, base, token)
    return failures


def call_one(operation, mode, base: str, token: str) -> list[str]:
    failures: list[str] = []

    @seed(20261125)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        case.call_and_validate(
            base_url=f"{base}/admin/v1",
            headers={"authorization": f"Bearer {token}"},
            checks=CHECKS,
        )

    try:
        run()
    except Unsatisfiable:
        return []  # there is nothing in it that could be wrong
    except BaseException as error:
        failures.append(f"{operation.label} {mode}: {error}"[:2000])
    return failures
