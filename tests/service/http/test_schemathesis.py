"""The live service does what its OpenAPI document says, whatever is sent: Schemathesis makes requests from the document and checks answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from requests import Session
from requests.structures import CaseInsensitiveDict
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.requester import connect
from cryptml.verification.local_service import local_service
from tests.service.clinic import Clinic, add_clinic

pytestmark = pytest.mark.encrypted

EXAMPLES = 50
"""Of each operation and kind of data."""

JOBS = 40
SEED = 1

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BUSY = 503


class Fuzzed:
    """A service with its document, and what exists there, for requests to come past the first checks."""

    def __init__(self, url: str, token: str, bundle: Any) -> None:
        self.url = url
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        found = (each.ok() for each in schema.get_all_operations() if isinstance(each, Ok))
        self.operations = {operation.label: operation for operation in found}
        self.session = Session()
        self.token = token
        clinic = Clinic(bundle)
        self._ciphertext = clinic.client.encrypt(clinic.values)
        self._known = {
            "model": "tiny",
            "index": 0,
            "segment": 0,
            "name": sorted(bundle.client_files)[0],
            "digest": clinic.keys.digest,
            **clinic.names,
            "Upload-Offset": "0",
            "Upload-Length": str(len(clinic.keys.evaluation_keys)),
            "Prefer": "respond-async",
        }
        self._jobs = self._prepare(clinic)

    def _prepare(self, clinic: Clinic) -> Iterator[str]:
        """Store keys and make jobs, and return the jobs' names, again and again."""
        with connect(self.url, self.token, 60) as http:
            clinic.upload(http)
            asked = [clinic.ask(http, Prefer="respond-async") for _ in range(JOBS)]
        return itertools.cycle([answer.json()["job"] for answer in asked])

    def send(self, case: Case, known: frozenset[str], token: bool) -> Any:
        """Send a request, with what exists instead of what was made up where names say so."""
        for container in ("path_parameters", "query", "headers"):
            values = dict(getattr(case, container) or {})
            values.update({name: self._known[name] for name in known & values.keys() & self._known.keys()})
            if "job" in known & values.keys():
                values["job"] = next(self._jobs)
            setattr(case, container, values)
        if "body" in known and case.operation.body:
            case.body = self._ciphertext
        if token:
            case.headers = CaseInsensitiveDict({**dict(case.headers or {}), "Authorization": f"Bearer {self.token}"})
        return case.call(base_url=self.url, session=self.session, timeout=60)


NAMES = (
    "model",
    "index",
    "segment",
    "name",
    "digest",
    "job",
    "CryptML-Circuit",
    "CryptML-Evaluation-Keys",
    "Upload-Offset",
    "Upload-Length",
    "Prefer",
    "body",
)
EVERY = frozenset(NAMES)


@pytest.fixture(scope="module")
def fuzzed(build_tiny: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    bundle, data = build_tiny("CCSSS"), tmp_path_factory.mktemp("fuzzed")
    token = add_clinic(data)
    with local_service([bundle.folder], data, anonymous=False) as running:
        yield Fuzzed(running.url, token, bundle)


OPERATIONS = [
    "GET /v1/health/live",
    "GET /v1/health/ready",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /v1/models/{model}/client-bundle",
    "GET /v1/models/{model}/client-bundle/{name}",
    "PUT /v1/models/{model}/evaluation-keys/{digest}",
    "PATCH /v1/models/{model}/evaluation-keys/{digest}",
    "HEAD /v1/models/{model}/evaluation-keys/{digest}",
    "POST /v1/models/{model}/segments/{index}/evaluations",
    "DELETE /v1/models/{model}/evaluation-keys/{digest}",
    "GET /v1/jobs",
    "GET /v1/jobs/{job}",
    "GET /v1/jobs/{job}/result",
    "DELETE /v1/jobs/{job}",
]


def test_every_operation_is_fuzzed(fuzzed: Fuzzed) -> None:
    assert sorted(fuzzed.operations) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    ("label", "mode"),
    list(itertools.product(OPERATIONS, GenerationMode)),
    ids=lambda each: getattr(each, "value", each),
)
def test_answers_are_those_of_the_document(fuzzed: Fuzzed, label: str, mode: GenerationMode) -> None:
    operation = fuzzed.operations[label]
    if mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters()) and not operation.body:
        pytest.skip("nothing of it can be wrong")

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        known=st.one_of(st.frozensets(st.sampled_from(NAMES)), st.just(EVERY)),
        token=st.sampled_from([True, True, True, False]),
    )
    def ask(case: Case, known: frozenset[str], token: bool) -> None:
        answer = fuzzed.send(case, known, token)
        wanted = [check for check in CHECKS if answer.status_code != BUSY or check is not not_a_server_error]
        case.validate_response(answer, checks=wanted)

    ask()
