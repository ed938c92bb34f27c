"""Several services behind one address: they share PostgreSQL and an object store, and take up each other's jobs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptml_server.database import Database
from cryptml_server.tenancy.tenants import Quotas

from benchmarks.machine import children
from benchmarks.requester import add_tenants, connect
from cryptml.networks import Network
from cryptml.verification.local_service import LocalService, local_service
from tests.service.clinic import Clinic

pytestmark = pytest.mark.encrypted


@pytest.fixture
def pair(
    build_tiny: Callable[[str], Any], postgresql: Callable[[], str], tmp_path: Path
) -> Iterator[tuple[list[LocalService], str]]:
    """Two services, and a token that both know."""
    address = postgresql()
    database = Database(address)
    database.upgrade()
    (token,) = add_tenants(database, ["clinic"], Quotas())
    database.close()
    shared = {"CRYPTML_DATABASE": address, "CRYPTML_OBJECT_STORE": f"file://{tmp_path}/objects"}
    with ExitStack() as stack:
        bundle = build_tiny("CCSCC").folder
        yield (
            [
                stack.enter_context(local_service([bundle], tmp_path / name, shared, anonymous=False))
                for name in ("one", "two")
            ],
            token,
        )


def test_what_one_has_accepted_the_other_answers(
    pair: tuple[list[LocalService], str], build_tiny: Callable[[str], Any], tiny: Network
) -> None:
    services, token = pair
    clinic = Clinic(build_tiny("CCSCC"))
    expected = tiny.run(clinic.values, clinic.circuit.segment)
    one, two = (connect(each.url, token, 60) for each in services)
    clinic.upload(one)
    assert two.head(clinic.keys_path, params={"segment": 0}).status_code == 200
    answer = clinic.ask(two)
    np.testing.assert_array_equal(clinic.client.decrypt(answer.content), expected)
    workers = children(services[0].pid)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)  # what this one begins takes for ever
    places = [clinic.ask(one, Prefer="respond-async").headers["Location"] for _ in range(6)]
    while sorted(two.get(place).json()["state"] for place in places) != ["done"] * 5 + ["running"]:
        time.sleep(0.05)  # one of them is with the service whose worker stands still; the other has answered the rest
    os.kill(services[0].pid, signal.SIGKILL)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    for place in places:
        deadline = time.monotonic() + 90
        while two.get(place, headers={"Prefer": "wait=20"}).json()["state"] != "done":
            assert time.monotonic() < deadline
        result = two.get(f"{place}/result").raise_for_status()
        np.testing.assert_array_equal(clinic.client.decrypt(result.content), expected)
    two.delete(clinic.keys_path, params={"segment": 0}).raise_for_status()
    assert clinic.ask(two).status_code == 404
