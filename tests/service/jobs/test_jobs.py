"""Jobs: by the database and with made-up workers first, then over real sockets, through kills and restarts."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from cryptml_server.base.draining import Draining
from cryptml_server.base.errors import (
    CircuitFailure,
    CircuitNotServed,
    KeysUnreadable,
    ServerError,
    UnknownKeys,
    UnusableCiphertext,
    WorkerLost,
)
from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import Circuit
from cryptml_server.base.settings import Settings
from cryptml_server.database import Database, DatabaseUnavailable, replicas
from cryptml_server.database.administration import open_database
from cryptml_server.http.routes.jobs import describe_job
from cryptml_server.jobs.claims import MOST_BEGUN, JobClaims
from cryptml_server.jobs.dispatcher import Dispatcher, DispatcherTimings
from cryptml_server.jobs.replicas import GONE_SECONDS, Replica
from cryptml_server.jobs.rows import DONE, FAILED, RUNNING, WAITING, Job
from cryptml_server.jobs.service import JobService
from cryptml_server.jobs.store import JobStore
from cryptml_server.keys.store import StoredEvaluationKeys
from cryptml_server.tenancy.tenants import Quotas, Tenant, TenantStore
from cryptml_server.tenancy.usage import UsageMeter
from cryptml_server.workers.loads import CircuitLoads
from cryptml_server.workers.pool import WorkerPool
from cryptml_server.workers.protocol import EvaluationResult
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from benchmarks.machine import children
from benchmarks.requester import connect
from cryptml.networks import Network
from cryptml.verification.local_service import LocalService, local_service
from tests.service.answered import answered
from tests.service.clinic import Clinic, add_clinic

CIRCUIT = Circuit("tiny", 0, (0, 1), Path(), "0" * 64, "1" * 64, (1, 100), (1, 2))
KEYS = "a" * 64
CIRCUITS = frozenset([CIRCUIT.identity])


@pytest.fixture
def tenants(database: Database) -> TenantStore:
    return TenantStore(database)


@pytest.fixture
def tenant(tenants: TenantStore) -> Tenant:
    return tenants.add("clinic", Quotas())[0]


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database, waiting=20, kept_seconds=1000)


def claims(jobs: JobStore) -> JobClaims:
    return JobClaims(jobs._database)


def submit(jobs: JobStore, tenant: Tenant, body: bytes = b"input", name: str | None = None) -> Job:
    return jobs.submit(tenant, CIRCUIT, KEYS, body, name)[0]


def claim(jobs: JobStore, tenant: str, circuits: frozenset[str], replica: str) -> tuple[Job, bytes] | None:
    return claims(jobs).claim(tenant, circuits, replica, secrets.token_hex(16))


def test_a_job_goes_from_waiting_to_done_and_can_be_fetched(jobs: JobStore, tenant: Tenant) -> None:
    job = submit(jobs, tenant)
    assert job.state == WAITING
    with pytest.raises(ServerError, match="the job is waiting"):
        jobs.output(tenant, job.id)
    claimed = claim(jobs, tenant.id, CIRCUITS, "here")
    assert claimed is not None
    assert claimed[1] == b"input"
    assert jobs.find(tenant, job.id).state == RUNNING
    assert claims(jobs).held("here") == {claimed[0].claim}
    assert claim(jobs, tenant.id, CIRCUITS, "there") is None
    assert claims(jobs).finish(claimed[0], b"output", 12.5)
    found, body = jobs.output(tenant, job.id)
    assert (found.state, found.evaluate_ms, body) == (DONE, 12.5, b"output")
    jobs.delete(tenant, job.id)
    with pytest.raises(ServerError, match="no job of that name"):
        jobs.find(tenant, job.id)


def test_a_job_is_answered_once(jobs: JobStore, tenant: Tenant) -> None:
    submit(jobs, tenant)
    job, _ = claim(jobs, tenant.id, CIRCUITS, "one") or pytest.fail("nothing to claim")
    assert claims(jobs).take_up() == 1, "replica 'one' is not there, so it waits again"
    again, _ = claim(jobs, tenant.id, CIRCUITS, "two") or pytest.fail("nothing to claim")
    assert not claims(jobs).finish(job, b"late", 1.0), "it was somebody else's by then"
    assert claims(jobs).finish(again, b"answer", 1.0)
    assert not claims(jobs).finish(again, b"twice", 1.0)
    assert not claims(jobs).fail(again, CircuitFailure("no"), CIRCUIT)
    assert jobs.output(tenant, job.id)[1] == b"answer"


def test_another_tenants_job_cannot_be_told_from_none(jobs: JobStore, tenants: TenantStore, tenant: Tenant) -> None:
    other, _ = tenants.add("other", Quotas())
    job = submit(jobs, tenant)
    for ask in (jobs.find, jobs.output, jobs.delete):
        said = []
        for name in (job.id, "f" * 32):
            with pytest.raises(ServerError) as refused:
                ask(other, name)
            said.append((*answered(refused.value), refused.value.detail))
        assert said[0] == said[1]
    assert jobs.of(other) == []
    assert [each.id for each in jobs.of(tenant)] == [job.id]


def test_the_same_request_of_the_same_name_is_the_same_job(
    jobs: JobStore, tenants: TenantStore, tenant: Tenant, database: Database
) -> None:
    name = "n" * 20
    first, new = jobs.submit(tenant, CIRCUIT, KEYS, b"input", name)
    again, newer = jobs.submit(tenant, CIRCUIT, KEYS, b"input", name)
    assert (first.id, new, newer) == (again.id, True, False)
    assert UsageMeter(database).used_today(tenant) == 1
    with pytest.raises(ServerError, match="used for another request"):
        jobs.submit(tenant, CIRCUIT, KEYS, b"other", name)
    other, _ = tenants.add("other", Quotas())
    assert jobs.submit(other, CIRCUIT, KEYS, b"input", name)[1], "each tenant has names of its own"


def test_bounds_are_kept_and_a_refused_job_costs_nothing(
    jobs: JobStore, tenants: TenantStore, database: Database
) -> None:
    few, _ = tenants.add("few", Quotas(jobs=2))
    for _ in range(2):
        submit(jobs, few)
    with pytest.raises(ServerError, match="you keep 2 jobs, 2 at most"):
        submit(jobs, few)
    spent, _ = tenants.add("spent", Quotas(daily_evaluations=1))
    submit(jobs, spent)
    with pytest.raises(ServerError, match="evaluations of this day"):
        submit(jobs, spent)
    many, _ = tenants.add("many", Quotas())
    for _ in range(20 - 3):
        submit(jobs, many)
    with pytest.raises(ServerError, match="too many jobs wait, 17 of them yours"):
        submit(jobs, many)
    assert UsageMeter(database).used_today(few) == 2
    assert jobs.count() == {WAITING: 20, RUNNING: 0, DONE: 0, FAILED: 0}


def test_a_failure_that_is_the_services_own_does_not_count(jobs: JobStore, tenant: Tenant, database: Database) -> None:
    meter = UsageMeter(database)
    for problem, counted in ((CircuitFailure("ours"), 0), (UnusableCiphertext("yours"), 1)):
        job = submit(jobs, tenant)
        claimed, _ = claim(jobs, tenant.id, CIRCUITS, "here") or pytest.fail("nothing to claim")
        assert claims(jobs).fail(claimed, problem, CIRCUIT)
        with pytest.raises(ServerError) as refused:
            jobs.output(tenant, job.id)
        assert (answered(refused.value), refused.value.detail) == (answered(problem), problem.detail)
        assert meter.used_today(tenant) == counted


def test_places_are_told_in_turn(jobs: JobStore, tenants: TenantStore, tenant: Tenant) -> None:
    busy, _ = tenants.add("busy", Quotas())
    many = [submit(jobs, busy) for _ in range(10)]
    one = submit(jobs, tenant)
    assert jobs.place(one).ahead == 1, "one of the busy tenant's, then this"
    assert jobs.place(many[0]).ahead == 1
    assert jobs.place(many[9]).ahead == 10


def test_old_jobs_go_and_what_nobody_serves_fails(database: Database, tenant: Tenant) -> None:
    jobs = JobStore(database, waiting=20, kept_seconds=0.2)
    ended, left = submit(jobs, tenant), submit(jobs, tenant)
    claimed, _ = claim(jobs, tenant.id, CIRCUITS, "here") or pytest.fail("nothing to claim")
    assert claim(jobs, tenant.id, frozenset(["f" * 64]), "here") is None, "another circuit's"
    claims(jobs).finish(claimed, b"output", 1.0)
    time.sleep(0.3)
    jobs.sweep(CIRCUITS)
    assert jobs.find(tenant, left.id).state == WAITING, "it only waits for long"
    jobs.sweep(frozenset(["f" * 64]))
    with pytest.raises(ServerError, match="no job of that name"):
        jobs.find(tenant, ended.id)
    assert isinstance(jobs.find(tenant, left.id).failure, CircuitNotServed)


def test_replicas_know_who_is_gone_whatever_the_clocks_say(database: Database, jobs: JobStore, tenant: Tenant) -> None:
    now = [0.0]
    one, two = (Replica(database, workers=2, alone=False, clock=lambda: now[0]) for _ in range(2))
    assert one.beat() == 0
    assert two.beat() == 1
    job = submit(jobs, tenant)
    claim(jobs, tenant.id, CIRCUITS, one.id)
    assert jobs.place(job).workers == 4
    for _ in range(5):
        now[0] += GONE_SECONDS / 4
        assert two.beat() == (1 if now[0] <= GONE_SECONDS else 0)
        assert claims(jobs).take_up() == (1 if now[0] > GONE_SECONDS else 0)
    assert one.beat() == 1, "it was only slow, and is there again"
    two.leave()
    assert one.beat() == 0
    alone = Replica(database, workers=1, alone=True)
    assert alone.beat() == 0, "nobody else can be there"


def test_a_tenant_has_as_many_jobs_at_work_as_it_may(jobs: JobStore, tenants: TenantStore) -> None:
    few, _ = tenants.add("few", Quotas(concurrent_evaluations=2))
    for _ in range(3):
        submit(jobs, few)
    first = [claim(jobs, few.id, CIRCUITS, "here") for _ in range(3)]
    assert first[2] is None
    assert first[0] is not None
    claims(jobs).finish(first[0][0], b"output", 1.0)
    assert claim(jobs, few.id, CIRCUITS, "here") is not None


def test_a_queue_that_is_full_of_one_tenants_jobs_takes_anothers(jobs: JobStore, tenants: TenantStore) -> None:
    greedy, _ = tenants.add("greedy", Quotas())
    calm, _ = tenants.add("calm", Quotas())
    for _ in range(20):
        submit(jobs, greedy)
    with pytest.raises(ServerError, match="too many jobs wait, 20 of them yours"):
        submit(jobs, greedy)
    for _ in range(10):
        submit(jobs, calm)
    with pytest.raises(ServerError, match="10 of them yours"):
        submit(jobs, calm)


def test_a_turn_that_lost_its_job_cannot_touch_it_again(jobs: JobStore, tenant: Tenant) -> None:
    submit(jobs, tenant)
    stale, _ = claim(jobs, tenant.id, CIRCUITS, "here") or pytest.fail("nothing to claim")
    assert claims(jobs).release_unknown({stale.claim or ""}) == 1
    fresh, _ = claim(jobs, tenant.id, CIRCUITS, "here") or pytest.fail("nothing to claim")
    assert not claims(jobs).release(stale, begun=False)
    assert not claims(jobs).fail(stale, CircuitFailure("stale"), CIRCUIT)
    assert claims(jobs).finish(fresh, b"answer", 1.0)


def test_an_accepted_job_is_said_to_be_accepted_though_the_database_has_gone(
    jobs: JobStore, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Job) -> None:
        raise DatabaseUnavailable("for a test")

    job, pool = submit(jobs, tenant), WorkerPool((), cached_keys=1, waiting=1)
    service = JobService(jobs, None, pool, Draining())  # type: ignore[arg-type]
    assert anyio.run(service.outlook_if_known, job).ahead == 0
    monkeypatch.setattr(jobs, "place", gone)
    outlook = anyio.run(service.outlook_if_known, job)
    found = describe_job(job, outlook, None)
    assert (found["job"], found["state"], found["ahead"]) == (job.id, WAITING, None)


class FakeWorker:
    """Evaluates as it is told to; ends when it is interrupted."""

    def __init__(self, act: Callable[[bytes], bytes]) -> None:
        self.act = act
        self.alive = True
        self.interrupted = threading.Event()

    def evaluate(self, circuit: Circuit, keys: Path, name: str, ciphertext: bytes) -> EvaluationResult:
        if ciphertext == b"forever":
            self.interrupted.wait(30)
            raise WorkerLost("interrupted")
        return EvaluationResult(self.act(ciphertext), 1.0)

    def interrupt(self) -> None:
        self.interrupted.set()

    @property
    def answered(self) -> float:
        return time.monotonic()

    @property
    def loads(self) -> CircuitLoads:
        return CircuitLoads()

    def ping(self) -> None:
        pass


class FakeKeys:
    shared = False

    def find(self, tenant: Tenant, circuit: Circuit, digest: str) -> StoredEvaluationKeys:
        if digest != KEYS:
            raise UnknownKeys("no keys")
        return StoredEvaluationKeys("name", Path())


class FakeRegistry:
    circuits = (CIRCUIT,)


def dispatching(
    jobs: JobStore,
    database: Database,
    workers: list[FakeWorker],
    then: Callable[[Dispatcher], Any],
    **timings: float,
) -> WorkerPool:
    """Run a dispatcher while something asynchronous goes on beside it."""
    pool = WorkerPool(tuple(workers), cached_keys=2, waiting=4)  # type: ignore[arg-type]
    replica = Replica(database, workers=len(workers), alone=True)

    async def run() -> None:
        dispatcher = Dispatcher(
            claims(jobs),
            TenantStore(database),
            FakeRegistry(),  # type: ignore[arg-type]
            FakeKeys(),  # type: ignore[arg-type]
            pool,
            replica,
            draining=Draining(),
            metrics=Metrics(),
            timings=DispatcherTimings(**timings),
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dispatcher.run)
            with anyio.fail_after(30):
                await then(dispatcher)
            tasks.cancel_scope.cancel()

    anyio.run(run)
    return pool


async def ended(jobs: JobStore, tenant: Tenant, name: str) -> Job:
    while not (found := await anyio.to_thread.run_sync(jobs.find, tenant, name)).ended:
        await anyio.sleep(0.01)
    return found


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["good", "bad", "lost", "odd"])), max_size=12))
def test_every_job_ends_in_one_way(tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, str]]) -> None:
    database = open_database(Settings(data=tmp_path_factory.mktemp("data")))
    jobs, store = JobStore(database, waiting=100, kept_seconds=1000), TenantStore(database)
    named = {name: store.add(f"tenant-{name}", Quotas())[0] for name in "abc"}
    seen: list[bytes] = []

    def act(body: bytes) -> bytes:
        seen.append(body)
        match body.split()[0]:
            case b"bad":
                raise UnusableCiphertext("no")
            case b"lost":
                raise WorkerLost("gone")
            case b"odd":
                raise RuntimeError("odd")
        return b"answer to " + body

    submitted = [
        (named[who], what, submit(jobs, named[who], f"{what} {number}".encode()))
        for number, (who, what) in enumerate(asked)
    ]

    async def wait(_: Dispatcher) -> None:
        for tenant, _what, job in submitted:
            await ended(jobs, tenant, job.id)

    dispatching(jobs, database, [FakeWorker(act), FakeWorker(act)], wait)
    for number, (tenant, what, job) in enumerate(submitted):
        body = f"{what} {number}".encode()
        if what == "good":
            assert jobs.output(tenant, job.id)[1] == b"answer to " + body
        else:
            assert jobs.find(tenant, job.id).state == FAILED
        assert seen.count(body) == (2 if what == "lost" else 1)
    database.close()


def test_a_deleted_job_stops_and_the_worker_goes_on(jobs: JobStore, database: Database, tenant: Tenant) -> None:
    worker = FakeWorker(lambda body: body)
    forever, after = submit(jobs, tenant, b"forever"), submit(jobs, tenant, b"after")

    async def then(dispatcher: Dispatcher) -> None:
        while jobs.find(tenant, forever.id).state != RUNNING:
            await anyio.sleep(0.01)
        jobs.delete(tenant, forever.id)
        dispatcher.wake()
        await ended(jobs, tenant, after.id)

    dispatching(jobs, database, [worker], then)
    assert worker.interrupted.is_set()
    assert jobs.output(tenant, after.id)[1] == b"after"


def test_a_job_that_is_taken_away_and_comes_back_is_evaluated_once_more(
    jobs: JobStore, database: Database, tenant: Tenant
) -> None:
    """Another replica took this one for gone: the job waits again, and is this one's again while its first turn still unwinds."""
    job = submit(jobs, tenant)
    begun: list[float] = []

    def act(_: bytes) -> bytes:
        begun.append(time.monotonic())
        time.sleep(1.5)
        return b"answer"

    def strike_off() -> None:
        with database.writing() as connection:
            connection.execute(delete(replicas))
        assert claims(jobs).take_up() == 1

    async def then(dispatcher: Dispatcher) -> None:
        while not begun:
            await anyio.sleep(0.01)
        await anyio.to_thread.run_sync(strike_off)
        until = time.monotonic() + 20
        while time.monotonic() < until and not (await anyio.to_thread.run_sync(jobs.find, tenant, job.id)).ended:
            dispatcher.wake()  # looks one after the other
            await anyio.sleep(0.02)

    dispatching(jobs, database, [FakeWorker(act), FakeWorker(act)], then)
    assert jobs.output(tenant, job.id)[1] == b"answer"
    assert len(begun) == 2


def test_what_is_at_work_when_the_service_ends_waits_again(jobs: JobStore, database: Database, tenant: Tenant) -> None:
    worker = FakeWorker(lambda body: body)
    job = submit(jobs, tenant, b"forever")

    async def then(_: Dispatcher) -> None:
        while jobs.find(tenant, job.id).state != RUNNING:
            await anyio.sleep(0.01)

    dispatching(jobs, database, [worker], then)
    assert jobs.find(tenant, job.id).state == WAITING


def test_a_job_that_is_begun_again_and_again_fails(jobs: JobStore, database: Database, tenant: Tenant) -> None:
    job = submit(jobs, tenant)
    for _ in range(MOST_BEGUN):
        assert claim(jobs, tenant.id, CIRCUITS, "gone")
        claims(jobs).take_up()

    async def then(_: Dispatcher) -> None:
        await ended(jobs, tenant, job.id)

    dispatching(jobs, database, [FakeWorker(lambda body: body)], then)
    assert "never ended" in str(jobs.find(tenant, job.id).failure)


def test_one_job_beside_a_hundred_waits_for_two_at_most(database: Database, tenants: TenantStore) -> None:
    jobs = JobStore(database, waiting=200, kept_seconds=1000)
    busy, _ = tenants.add("busy", Quotas())
    calm, _ = tenants.add("calm", Quotas())
    order: list[bytes] = []

    def act(body: bytes) -> bytes:
        order.append(body)
        time.sleep(0.02)
        return body

    for number in range(100):
        submit(jobs, busy, str(number).encode())

    async def then(dispatcher: Dispatcher) -> None:
        while len(order) < 5:
            await anyio.sleep(0.001)
        before = len(order)
        one = await anyio.to_thread.run_sync(submit, jobs, calm, b"calm")
        dispatcher.wake()
        await ended(jobs, calm, one.id)
        assert order.index(b"calm") - before <= 2

    dispatching(jobs, database, [FakeWorker(act)], then)


def test_an_end_is_written_when_the_database_is_back(
    jobs: JobStore, database: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(jobs, tenant)
    finish, failures = JobClaims.finish, iter(range(3))

    def away(*arguments: Any) -> bool:
        if next(failures, None) is not None:
            raise DatabaseUnavailable("away")
        return finish(*arguments)

    monkeypatch.setattr(JobClaims, "finish", away)

    async def then(_: Dispatcher) -> None:
        await ended(jobs, tenant, job.id)

    dispatching(jobs, database, [FakeWorker(lambda body: body)], then, again=0.02)
    assert jobs.output(tenant, job.id)[1] == b"input"


class LastingClinic(Clinic):
    """A tenant of a service that can be killed and started again."""

    def __init__(self, bundle: Any, data: Path, network: Network) -> None:
        super().__init__(bundle)
        self.data = data
        self.token = add_clinic(data)
        self.expected = network.run(self.values, self.circuit.segment)

    @contextmanager
    def service(self) -> Iterator[tuple[LocalService, httpx.Client]]:
        with (
            local_service([self.bundle.folder], self.data, anonymous=False) as running,
            connect(running.url, self.token, 60) as http,
        ):
            yield running, http

    def check(self, answer: httpx.Response) -> None:
        answer.raise_for_status()
        np.testing.assert_array_equal(self.client.decrypt(answer.content), self.expected)


@pytest.fixture(scope="module")
def clinic(build_tiny: Callable[[str], Any], tiny: Network, tmp_path_factory: pytest.TempPathFactory) -> LastingClinic:
    return LastingClinic(build_tiny("CCSCC"), tmp_path_factory.mktemp("jobs"), tiny)


@pytest.mark.encrypted
def test_a_job_over_http_survives_kills_and_is_cancelled_for_good(clinic: LastingClinic) -> None:
    with clinic.service() as (running, http):
        clinic.upload(http)
        accepted = clinic.ask(http, Prefer="respond-async")
        assert accepted.status_code == 202
        assert accepted.headers["Preference-Applied"] == "respond-async"
        place = accepted.headers["Location"]
        assert accepted.json()["state"] in ("waiting", "running", "done")
        assert accepted.json()["expected_seconds"] > 0
        done = http.get(place, headers={"Prefer": "wait=20"}).json()
        assert (done["state"], done["problem"]) == ("done", None)
        assert done["expires"] > time.time()
        clinic.check(http.get(f"{place}/result"))
        assert http.delete(place).status_code == 204
        assert http.get(place).status_code == http.get(f"{place}/result").status_code == 404
        (worker,) = children(running.pid)
        os.kill(worker, signal.SIGSTOP)  # an evaluation that takes for ever
        stuck = clinic.ask(http, Prefer="respond-async").headers["Location"]
        behind = clinic.ask(http, Prefer="respond-async", **{"Idempotency-Key": "k" * 16}).headers["Location"]
        while http.get(stuck).json()["state"] != "running":
            time.sleep(0.02)
        assert http.get(behind).json()["ahead"] == 0
        assert http.get(f"{behind}/result").status_code == 409
        os.kill(running.pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
    with clinic.service() as (running, http):
        for place in (stuck, behind):
            assert http.get(place, headers={"Prefer": "wait=30"}).json()["state"] == "done"
            clinic.check(http.get(f"{place}/result"))
        again = clinic.ask(http, Prefer="respond-async", **{"Idempotency-Key": "k" * 16})
        assert again.status_code == 409, "encrypted anew it is another request"
        (worker,) = children(running.pid)
        os.kill(worker, signal.SIGSTOP)
        stuck = clinic.ask(http, Prefer="respond-async").headers["Location"]
        while http.get(stuck).json()["state"] != "running":
            time.sleep(0.02)
        http.delete(stuck).raise_for_status()
        deadline = time.monotonic() + 20
        while worker in children(running.pid):
            assert time.monotonic() < deadline, "the evaluation really stops"
            time.sleep(0.05)
        clinic.check(clinic.ask(http))
        listed = http.get("/v1/jobs").json()["jobs"]
        assert [each["state"] for each in listed] == ["done", "done"]


@pytest.mark.encrypted
def test_who_hangs_up_does_not_keep_the_worker(clinic: LastingClinic) -> None:
    with clinic.service() as (running, http):
        clinic.upload(http)
        clinic.check(clinic.ask(http))
        (worker,) = children(running.pid)
        os.kill(worker, signal.SIGSTOP)
        with pytest.raises(httpx.ReadTimeout):
            clinic.ask(httpx.Client(base_url=running.url, headers=http.headers, timeout=1.0))
        clinic.check(clinic.ask(http))
        assert worker not in children(running.pid)


def test_a_job_taken_up_without_a_word_waits_again(
    jobs: JobStore, database: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database wrote the claim, and the connection broke before it said so."""
    job = submit(jobs, tenant)
    claim, once = JobClaims.claim, iter([True])

    def unheard(*arguments: Any) -> Any:
        found = claim(*arguments)
        if next(once, False):
            raise DatabaseUnavailable("the connection broke")
        return found

    monkeypatch.setattr(JobClaims, "claim", unheard)

    async def then(_: Dispatcher) -> None:
        await ended(jobs, tenant, job.id)

    dispatching(jobs, database, [FakeWorker(lambda body: body)], then, look=0.05, put_off=0.05)
    assert jobs.output(tenant, job.id)[1] == b"input"


def test_what_is_wanting_for_a_while_does_not_fail_a_job(jobs: JobStore, database: Database, tenant: Tenant) -> None:
    job, wanting = submit(jobs, tenant), iter(range(MOST_BEGUN + 10))

    def act(body: bytes) -> bytes:
        if next(wanting, None) is not None:
            raise KeysUnreadable("the object store is away")
        return body

    async def then(_: Dispatcher) -> None:
        await ended(jobs, tenant, job.id)

    dispatching(jobs, database, [FakeWorker(act)], then, put_off=0.001)
    assert jobs.find(tenant, job.id).state == DONE


def test_what_looks_after_jobs_goes_on_whatever_happens(
    jobs: JobStore, database: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, failures = JobClaims.first, iter(range(3))

    def odd(self: JobClaims, circuits: frozenset[str]) -> list[Job]:
        if next(failures, None) is not None:
            raise RuntimeError("odd")
        return first(self, circuits)

    monkeypatch.setattr(JobClaims, "first", odd)
    job = submit(jobs, tenant)

    async def then(_: Dispatcher) -> None:
        await ended(jobs, tenant, job.id)

    dispatching(jobs, database, [FakeWorker(lambda body: body)], then, look=0.02)


def test_waiting_for_an_end_ends_in_time(jobs: JobStore, database: Database) -> None:
    async def then(dispatcher: Dispatcher) -> None:
        started = asyncio.get_running_loop().time()
        await dispatcher.until_ended(0.1)
        assert asyncio.get_running_loop().time() - started < 5

    dispatching(jobs, database, [FakeWorker(lambda body: body)], then)
