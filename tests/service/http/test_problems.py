"""Kinds of problems: each has one answer, none changes, and what earlier versions wrote is still understood."""

from __future__ import annotations

import json

import httpx
import pytest
from cryptml_client.http.answers import refusal
from cryptml_server.base.errors import (
    EvaluationFailed,
    InternalError,
    NoWorker,
    RequestQuarantined,
    ServerError,
    TooManyJobs,
    UnknownKeys,
    WorkerCrashed,
    WorkerLost,
    restore_error,
)
from cryptml_server.http.problems import ANSWERED, TYPE_PREFIX, describe_problem
from cryptml_server.jobs.rows import read_failure, write_failure

from tests.service.answered import answered

PUBLISHED = """
    400 ambiguous-length invalid-request-target
    401 not-authenticated
    403 key-quota-used-up query-budget-used-up
    404 not-found unknown-evaluation-keys unknown-file unknown-job unknown-model unknown-segment
    405 method-not-allowed
    408 upload-too-slow
    409 another-circuit another-offset idempotency-key-used not-finished upload-under-way
    410 not-served
    413 body-too-long keys-too-long
    421 misdirected-request
    422 body-too-short digest-mismatch evaluation-failed invalid-request keys-truncated unusable-ciphertext unusable-evaluation-keys
    429 daily-quota-used-up too-many-evaluations-at-once too-many-jobs too-many-lost-workers too-many-stopped-evaluations
    429 too-many-unfinished-uploads
    500 circuit-failure internal-error job-failure
    503 circuit-unavailable cluster-out-of-memory database-unavailable draining keys-unreadable no-room-on-the-cluster no-worker
    503 not-ready other-version out-of-memory shutting-down too-busy worker-lost
    504 evaluation-too-slow
    507 no-room-for-keys
"""
"""What clients that are out there decide by: a kind may be added here, none may go or change its status."""


def test_what_was_published_stays() -> None:
    lines = [line.split() for line in PUBLISHED.strip().splitlines()]
    published = {kind: int(status) for status, *kinds in lines for kind in kinds}
    assert {kind: each.status for kind, each in ANSWERED.items()} == published


def test_every_error_has_an_answer_and_every_answer_an_error() -> None:
    assert set(ServerError.kinds()) == set(ANSWERED)


@pytest.mark.parametrize("kind", sorted(ServerError.kinds()))
def test_an_error_comes_back_from_where_it_was_written_down(kind: str) -> None:
    error = ServerError.kinds()[kind]("what happened")
    read = read_failure(write_failure(error))
    assert (read.kind, read.detail, read.final) == (kind, "what happened", True)
    status, title = answered(error)
    assert answered(read) == (500 if status in (429, 503) else status, title), "nobody is to ask again and again"
    old = json.dumps({"status": status, "title": title, "detail": "what happened"})
    assert (read_failure(old).kind, read_failure(old).detail) == (kind, "what happened")


def test_special_cases_and_what_another_version_wrote() -> None:
    assert type(restore_error("worker-lost", "gone", lost=True)) is WorkerLost
    assert type(restore_error("evaluation-failed", "gone", lost=True)) is WorkerCrashed
    assert type(restore_error("evaluation-failed", "gone")) is EvaluationFailed
    assert type(restore_error("of-the-future", "gone")) is InternalError
    assert (WorkerCrashed("").counts, WorkerLost("").counts, RequestQuarantined("").counts) == (True, False, False)
    assert answered(RequestQuarantined("")) == answered(WorkerCrashed("")) == (422, "Evaluation failed")
    assert answered(NoWorker(""))[0] == 503
    assert answered(TooManyJobs(""))[0] == 429


def answer(document: dict[str, object]) -> httpx.Response:
    return httpx.Response(404, headers={"Content-Type": "application/problem+json"}, json=document)


@pytest.mark.parametrize("named", [{}, {"type": "about:blank"}, {"type": TYPE_PREFIX + "unknown-evaluation-keys"}])
def test_the_client_decides_by_the_type_and_understands_what_has_none(named: dict[str, str]) -> None:
    document = {**describe_problem(UnknownKeys("not stored")), "title": "Unknown evaluation keys"}
    del document["type"]
    found = answer({**document, **named})
    refused = refusal(found, found.content)
    assert refused is not None
    assert refused.kind == UnknownKeys.kind


def test_the_title_is_for_people() -> None:
    found = answer({**describe_problem(UnknownKeys("not stored")), "title": "Keys? None."})
    refused = refusal(found, found.content)
    assert refused is not None
    assert (refused.kind, refused.title) == (UnknownKeys.kind, "Keys? None.")
