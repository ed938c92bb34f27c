"""The OpenAPI document in the repository is the code's, and says what the service does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptml_server.http.openapi import PROBLEM
from cryptml_server.openapi_document import document

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return document()


def test_the_document_in_the_repository_is_the_codes(found: dict[str, Any]) -> None:
    assert json.loads(COMMITTED.read_text()) == found, (
        "run python -m cryptml_server.openapi_document > docs/openapi.json"
    )


def test_every_operation_says_what_can_go_wrong_and_who_may_ask(found: dict[str, Any]) -> None:
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            errors = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
            assert all(PROBLEM in answer["content"] for answer in errors.values()), (method, path)
            if path.startswith("/v1/health"):
                assert "security" not in operation
            else:
                assert operation["security"] == [{"HTTPBearer": []}]
                assert "401" in errors
            if method in ("put", "post"):
                assert list(operation["requestBody"]["content"]) == ["application/octet-stream"]


def test_the_routes_are_those_of_version_1(found: dict[str, Any]) -> None:
    assert sorted(found["paths"]) == [
        "/v1/health/live",
        "/v1/health/ready",
        "/v1/jobs",
        "/v1/jobs/{job}",
        "/v1/jobs/{job}/result",
        "/v1/models",
        "/v1/models/{model}",
        "/v1/models/{model}/client-bundle",
        "/v1/models/{model}/client-bundle/{name}",
        "/v1/models/{model}/evaluation-keys/{digest}",
        "/v1/models/{model}/segments/{index}/evaluations",
    ]
