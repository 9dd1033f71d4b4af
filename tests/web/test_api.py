"""The API keeps to its description, whatever it is sent."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from registry.core.registry import Registry
from registry.people import joining
from registry.web.api import OPERATIONS
from registry.web.api_routes import description
from tests.support.page_server import Pages
from tests.support.registries import who
from tests.web.conftest import VIDEOS

_CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance, negative_data_rejection, unsupported_method,
]  # fmt: skip
_SCHEMA = schemathesis.openapi.from_dict(description()).exclude(path="/api/lookup")
"""Without the lookup: the registry of these tests has no model that embeds photos."""


@pytest.fixture
def cookies(client: httpx.Client) -> dict[str, str]:
    return dict(client.cookies)


@_SCHEMA.parametrize()
@settings(
    max_examples=8, deadline=None, database=None,
    phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_operation_answers_as_it_is_described(
    case: Any, pages: Pages, cookies: dict[str, str]
) -> None:
    response = case.call(base_url=pages.address, cookies=cookies)
    case.validate_response(response, checks=_CHECKS)


def test_the_description_names_every_operation_once(client: httpx.Client) -> None:
    document = client.get("/api/openapi.json").json()
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == {(one.method, one.path) for one in OPERATIONS}
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    text = client.get("/api").text
    assert all(one.path in text for one in OPERATIONS)


def test_a_correction_by_script_is_a_decision(client: httpx.Client, registry: Registry) -> None:
    first, second = who(registry, VIDEOS[0]), who(registry, VIDEOS[1])
    named = client.put(f"/api/people/{first}/name", json={"name": "Ann"}).json()
    assert (named["kind"], named["name"]) == ("name", "Ann")
    merged = client.post("/api/people/merge", json={"people": ["Ann", second]}).json()
    assert merged["others"] == [second]
    person = client.get("/api/people/Ann").json()
    assert {one["url"] for one in person["appearances"]} == {
        VIDEOS[0].url.exposed(), VIDEOS[1].url.exposed(),
    }  # fmt: skip
    undone = client.post("/api/decisions/undo", json={"number": merged["decision"]}).json()
    assert undone["undoes"] == merged["decision"]
    log = client.get("/api/decisions").json()["decisions"]
    assert log[-2]["undone_by"] == log[-1]["decision"]


def test_a_split_and_a_separation_and_a_hiding(client: httpx.Client, registry: Registry) -> None:
    one = who(registry, VIDEOS[0])
    face = VIDEOS[0].faces[0].face_id
    split = client.post(f"/api/people/{one}/split", json={"faces": [face]}).json()
    assert split["new_identity"]
    other = who(registry, VIDEOS[3])
    separated = client.post("/api/people/separate", json={"one": one, "other": other})
    assert separated.json()["kind"] == "separate"
    refused = client.post("/api/people/merge", json={"people": [one, other], "sure": True})
    assert refused.status_code == 400
    assert "two people" in refused.json()["error"]
    assert client.post("/api/people/hide", json={"people": [one]}).json()["kind"] == "hide"
    listed = {p["identity"] for p in client.get("/api/people").json()["identities"]}
    everybody = client.get("/api/people?provisional=true").json()["identities"]
    assert one not in listed
    assert one in {person["identity"] for person in everybody}


def test_what_speaks_against_a_merge_asks_for_more(
    client: httpx.Client, registry: Registry
) -> None:
    body: dict[str, Any] = {"people": [who(registry, VIDEOS[0]), who(registry, VIDEOS[3])]}
    for number, key in enumerate(body["people"]):
        client.put(f"/api/people/{key}/name", json={"name": f"Person {number} of two"})
    refused = client.post("/api/people/merge", json=body)
    assert refused.status_code == 409
    assert "different names" in refused.json()["error"]
    assert client.post("/api/people/merge", json={**body, "sure": True}).status_code == 200


def test_suggestions_and_report_are_those_of_the_commands(
    client: httpx.Client, registry: Registry
) -> None:
    suggested = client.get("/api/suggestions").json()["suggestions"]
    assert suggested == [one.as_dict() for one in joining.suggest(registry)]
    rows = client.get("/api/report?sort=videos").json()["rows"]
    assert [row["videos"] for row in rows] == sorted((r["videos"] for r in rows), reverse=True)
    assert rows[0]["low_Performance"] is None  # NaN is no JSON


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("application/x-www-form-urlencoded", b"name=Ann", 415),
        ("application/json", b"{", 422),
        ("application/json", b"[]", 422),
        ("application/json", b'{"name": "Ann", "more": 1}', 422),
        ("application/json", b'{"name": 1}', 422),
    ],
)
def test_a_body_that_is_not_described_is_refused(
    client: httpx.Client, registry: Registry, kind: str, body: bytes, status: int
) -> None:
    path = f"/api/people/{who(registry, VIDEOS[0])}/name"
    answer = client.put(path, content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]
