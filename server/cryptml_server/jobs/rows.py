"""What is known of a job, and how it is written down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from cryptml_server.base.errors import ServerError, restore_error

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


@dataclass(frozen=True)
class Job:
    """What is known of a job, without its ciphertexts.

    Attributes:
        number: Grows in the order of their coming.
        id: Random; with its tenant's token it can be fetched.
        tenant: Id of whose it is.
        model: Name.
        segment: Number among the model's server segments.
        circuit: Identity of the circuit that the input was made for.
        key_digest: Of the evaluation keys.
        state: `WAITING`, `RUNNING`, `DONE` or `FAILED`.
        begun: How often, but for the times that count for nothing.
        claim: Which of its runs this is, by a name that whoever took it up drew; None while it does not run.
        created: Seconds since 1970, UTC.
        finished: The same; None while it is not.
        day: Days since 1970, whose quota it counts for.
        evaluate_ms: Of the circuit; None while it is not done.
        failure: Why it failed; None where it did not.
    """

    number: int
    id: str
    tenant: str
    model: str
    segment: int
    circuit: str
    key_digest: str
    state: str
    begun: int
    claim: str | None
    created: float
    finished: float | None
    day: int
    evaluate_ms: float | None
    failure: ServerError | None

    @property
    def ended(self) -> bool:
        """Whether it is done or failed."""
        return self.state in (DONE, FAILED)


def job_of(row: Row[Any]) -> Job:
    """Return the job of a row of the table ``jobs``."""
    values = {name: getattr(row, name) for name in Job.__dataclass_fields__ if name != "failure"}
    return Job(**values, failure=None if row.problem is None else read_failure(row.problem))


def write_failure(failure: ServerError) -> str:
    """Return why a job failed as the database keeps it: JSON of ``kind`` and ``detail``."""
    return json.dumps({"kind": failure.kind, "detail": failure.detail})


def read_failure(written: str) -> ServerError:
    """Return why a job failed; earlier versions wrote a title, of which the kind was made."""
    found = json.loads(written)
    kind = found["kind"] if "kind" in found else str(found["title"]).lower().replace(" ", "-")
    failure = restore_error(kind, str(found["detail"]))
    failure.final = True
    return failure
