"""Requests that Schemathesis makes of the service's own OpenAPI document."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from requests.structures import CaseInsensitiveDict
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

from benchmarks.hostile_requests.kinds import SEED
from benchmarks.hostile_requests.tally import Tally
from benchmarks.hostile_requests.target import PATIENCE_SECONDS, Answer, Shot, Target
from cryptml.errors import CryptmlError


def from_the_document(target: Target, tally: Tally, kind: str, examples: int) -> None:
    """Send what Schemathesis makes of the service's own OpenAPI document, right and wrong."""
    document = schemathesis.openapi.from_url(f"{target.url}/openapi.json")
    for found in document.get_all_operations():
        if not isinstance(found, Ok):
            raise CryptmlError("Schemathesis cannot read the document")
        operation = found.ok()
        for mode in GenerationMode:
            if mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters()) and not operation.body:
                continue

            @seed(SEED)
            @settings(
                max_examples=examples,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case[Any]) -> None:
                path = case.path_parameters or {}
                if "model" in path and len(str(path["model"])) % 2:
                    case.path_parameters["model"] = "tiny"
                case.headers = CaseInsensitiveDict(case.headers or {})
                case.headers["Authorization"] = f"Bearer {target.intruders[0]}"
                answer = case.call(base_url=target.url, timeout=PATIENCE_SECONDS)
                shot = Shot(f"{case.method} {case.formatted_path}".encode("utf-8", "surrogateescape"))
                tally.add(kind, shot, Answer(answer.status_code, False, answer.content))

            ask()
