"""Readiness says what can be answered: each part is taken away from a real service and brought back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptml_server.base.draining import Draining
from cryptml_server.base.errors import ServerError, Unavailable, WorkerLost
from cryptml_server.base.models import Circuit, ModelRegistry
from cryptml_server.base.served_bundles import COPIES
from cryptml_server.database import Database
from cryptml_server.operations.readiness import Readiness
from cryptml_server.workers.loads import MOST_AGAIN_SECONDS, CircuitLoads
from cryptml_server.workers.local import Supervisor
from cryptml_server.workers.pool import WorkerPool

from benchmarks.machine import children
from benchmarks.postgresql import PostgreSQL, find_programs
from cryptml.bundle.build import build_bundle
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.splits import Split
from cryptml.verification.local_service import LocalService, local_service
from tests.bounds import ENDS_SECONDS
from tests.service.answered import answered
from tests.service.clinic import Clinic

PATIENCE_SECONDS = 90
"""For what takes seconds on an idle machine."""

LIBRARY = "sharedlib.so"


def ready(http: httpx.Client) -> httpx.Response:
    began = time.monotonic()
    answer = http.get("/v1/health/ready")
    assert time.monotonic() - began < ENDS_SECONDS
    return answer


def wait_until(http: httpx.Client, status: int, part: str | None = None) -> httpx.Response:
    """Wait until readiness is as it should be, and where it is not, for that part's sake alone."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = ready(http)
        if answer.status_code == status and (part is None or wrong_parts(answer) == [part]):
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def wrong_parts(answer: httpx.Response) -> list[str]:
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (document["title"], document["type"]) == ("Not ready", "urn:cryptml:problem:not-ready")
    assert int(answer.headers["retry-after"]) > 0
    return [part for part, words in document["checks"].items() if words != "ok"]


def workers_of(service: LocalService) -> list[int]:
    return children(service.pid)


@contextmanager
def client_of(service: LocalService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS) as http:
        wait_until(http, 200)
        yield http


def damage(bundle: Path, data: bytes) -> None:
    """Put other bytes in a circuit's library's place, and their digest in the manifest: as a machine that cannot load it would have it."""
    (library,) = (bundle / "server").rglob(LIBRARY)
    library.unlink()  # a process that has it mapped keeps what it has
    library.write_bytes(data)
    path = bundle / "server" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    entry = manifest["files"][library.relative_to(bundle / "server").as_posix()]
    entry.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    path.write_text(json.dumps(manifest))


def no_library(_: Path) -> bytes:
    return b"\x7fELF" + bytes(1000)


def ends_the_process(folder: Path) -> bytes:
    """A library whose loading costs the worker."""
    return library_that_begins_with(folder, "_Exit(7)")


def never_loads(folder: Path) -> bytes:
    """A library whose loading does not end, as of a disk that does not answer."""
    return library_that_begins_with(folder, "sleep(3600)")


def library_that_begins_with(folder: Path, statement: str) -> bytes:
    source, built = folder / "begin.c", folder / "begin.so"
    headers = "#include <stdlib.h>\n#include <unistd.h>\n"
    source.write_text(f"{headers}__attribute__((constructor)) static void begin(void) {{ {statement}; }}\n")
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-o", built, source], check=True)
    return built.read_bytes()


@pytest.mark.encrypted
def test_a_service_that_is_told_to_end_while_it_starts_does(two_tables: Any, tmp_path: Path) -> None:
    bundle = build_bundle(two_tables, Split("CSC"), tmp_path / "bundle", backend=compile_integer_program).folder
    damage(bundle, never_loads(tmp_path))
    command = [sys.executable, "-m", "cryptml", "serve", str(bundle), "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen([*command, "--insecure-anonymous"], stdout=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            loads = (tmp_path / "data" / COPIES).resolve()  # the service keeps what it loads
            while not any(str(loads) in mapped(pid) for pid in children(process.pid)):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.1)
            workers = children(process.pid)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0
            assert process.stdout is not None
            assert "serving" not in process.stdout.read(), "it never listened"
            assert not [pid for pid in workers if mapped(pid)]
        finally:
            process.kill()


def mapped(pid: int) -> str:
    """What a process has loaded; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


@pytest.mark.encrypted
@pytest.mark.parametrize("made", [no_library, ends_the_process])
def test_a_circuit_that_does_not_load_is_said_refused_and_tried_again(
    made: Callable[[Path], bytes], build_tiny: Callable[[str], Any], tiny: Any, two_tables: Any, tmp_path: Path
) -> None:
    good = build_tiny("CCSCC")
    other = build_bundle(two_tables, Split("CSC"), tmp_path / "other", backend=compile_integer_program)
    (library,) = (other.folder / "server").rglob(LIBRARY)
    whole = library.read_bytes()
    damage(other.folder, made(tmp_path))
    with (
        local_service([good.folder, other.folder], tmp_path / "data") as service,
        httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS) as http,
    ):
        answer = wait_until(http, 503, "circuits")
        assert "1 of 2 circuits did not load" in answer.json()["detail"]
        assert two_tables.name not in answer.text, "no token was shown"
        assert str(tmp_path) not in answer.text
        clinics = Clinic(good, tiny.name), Clinic(other, two_tables.name)
        for each in clinics:
            each.upload(http)
        assert clinics[0].ask(http).status_code == 200, "the other model is served"
        refused = clinics[1].ask(http)
        assert (refused.status_code, refused.json()["title"]) == (503, "Circuit unavailable")
        assert "did not load" in refused.json()["detail"]
        assert str(tmp_path) not in refused.text
        assert int(refused.headers["retry-after"]) > 0
        damage(tmp_path / "data" / COPIES / "1", whole)
        wait_until(http, 200)
        answered = clinics[1].ask(http)
        assert answered.status_code == 200
        assert clinics[1].client.decrypt(answered.content).shape[0] == 1


@pytest.mark.encrypted
def test_an_idle_worker_that_hangs_is_found_and_replaced(build_tiny: Callable[[str], Any], tmp_path: Path) -> None:
    bundle = build_tiny("CCSCC")
    with local_service([bundle.folder], tmp_path / "data") as service, client_of(service) as http:
        clinic = Clinic(bundle)
        clinic.upload(http)
        assert clinic.ask(http).status_code == 200
        (before,) = workers_of(service)
        os.kill(before, signal.SIGSTOP)
        wait_until(http, 503, "workers")
        wait_until(http, 200)
        (after,) = workers_of(service)
        assert after != before
        assert not Path(f"/proc/{before}").exists()
        assert clinic.ask(http).status_code == 200


@pytest.mark.encrypted
def test_a_busy_worker_stands_by_and_one_of_two_is_enough(build_tiny: Callable[[str], Any], tmp_path: Path) -> None:
    bundle = build_tiny("CCSCC")
    settings = {"CRYPTML_WORKERS": "2", "CRYPTML_EVALUATION_SECONDS": "60"}
    with local_service([bundle.folder], tmp_path / "data", settings) as service, client_of(service) as http:
        clinic = Clinic(bundle)
        clinic.upload(http)
        one, two = workers_of(service)
        answers: list[httpx.Response] = []
        for pid in (one, two):  # both at work, for as long as evaluations may take
            os.kill(pid, signal.SIGSTOP)
        asking = [threading.Thread(target=lambda: answers.append(clinic.ask(http))) for _ in range(2)]
        for each in asking:
            each.start()
        deadline = time.monotonic() + 12  # longer than an idle worker may be silent
        while time.monotonic() < deadline:
            assert ready(http).status_code == 200
            time.sleep(0.5)
        for pid in (one, two):
            os.kill(pid, signal.SIGCONT)
        for each in asking:
            each.join()
        assert [each.status_code for each in answers] == [200, 200]
        assert set(workers_of(service)) == {one, two}
        os.kill(one, signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while one in workers_of(service):
            assert ready(http).status_code == 200, "the other one stands by"
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_database_file_that_is_locked_moved_or_no_database(build_tiny: Callable[[str], Any], tmp_path: Path) -> None:
    data, bundle = tmp_path / "data", build_tiny("CCCCC").folder
    with local_service([bundle], data) as service, client_of(service) as http:
        file = data / "cryptml.db"
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            wait_until(http, 503, "database")
            other.execute("ROLLBACK")
        wait_until(http, 200)
        file.rename(data / "aside")
        wait_until(http, 503, "database")
        assert not file.exists(), "nothing is made in its place"
        file.write_bytes(b"no database" * 1000)
        wait_until(http, 503, "database")
        (data / "aside").rename(file)
        wait_until(http, 200)
        file.chmod(0)
        if not os.access(file, os.R_OK):  # root reads all the same
            wait_until(http, 503, "database")
        file.chmod(0o600)
        wait_until(http, 200)
        assert http.get("/v1/health/live").status_code == 200


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed here; Debian's package postgresql has it")
    made = PostgreSQL(programs)
    yield made
    made.stop()


def test_a_postgresql_that_is_away_or_hangs(
    server: PostgreSQL, build_tiny: Callable[[str], Any], tmp_path: Path
) -> None:
    address, bundle = server.database(), build_tiny("CCCCC").folder
    database = Database(address)
    database.upgrade()
    database.close()
    with (
        local_service([bundle], tmp_path / "data", {"CRYPTML_DATABASE": address}) as service,
        client_of(service) as http,
    ):
        server.kill()
        wait_until(http, 503, "database")
        server.start()
        wait_until(http, 200)
        assert server._server is not None
        hung = [server._server.pid, *children(server._server.pid)]
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(5):  # each answer within its bound, see `ready`
                wait_until(http, 503, "database")
            assert http.get("/v1/health/live", timeout=5).status_code == 200
        finally:
            for pid in hung:
                os.kill(pid, signal.SIGCONT)
        wait_until(http, 200)
        alter(address, "on")
        wait_until(http, 503, "database")
        alter(address, "off")
        wait_until(http, 200)


def alter(address: str, read_only: str) -> None:
    """As a server that has become a replica of another: what is there can be read alone, by sessions from now on."""
    import psycopg

    plain = address.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True, options="-c default_transaction_read_only=off") as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {read_only}")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class Silent:
    """A database that says nothing until it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked = 0

    def probe(self) -> None:
        self.asked += 1
        self.may.wait(PATIENCE_SECONDS)


def test_one_thread_waits_for_a_database_however_many_ask() -> None:
    silent = Silent()
    supervisor = Supervisor(threads=1, cached_keys=1, deadline_seconds=60)
    pool = WorkerPool((supervisor,), cached_keys=1, waiting=1)

    async def run() -> None:
        await pool.start(())
        await asyncio.to_thread(supervisor.ping)
        readiness = Readiness(pool, silent, Draining(), database_seconds=0.2)  # type: ignore[arg-type]
        for _ in range(3):
            asked = await asyncio.gather(*(readiness.require() for _ in range(20)), return_exceptions=True)
            assert all(isinstance(each, Unavailable) for each in asked)
        assert silent.asked == 1
        silent.may.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                await readiness.require()
                break
            except ServerError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        await asyncio.gather(*(readiness.require() for _ in range(20)))
        assert silent.asked == 1, "an answer counts for a second"
        await pool.stop()

    asyncio.run(run())


def test_draining_comes_first_and_nothing_is_asked() -> None:
    silent, draining = Silent(), Draining()
    draining.begin()
    pool = WorkerPool((Supervisor(threads=1, cached_keys=1, deadline_seconds=60),), cached_keys=1, waiting=1)
    with pytest.raises(ServerError) as refused:
        asyncio.run(Readiness(pool, silent, draining).require())  # type: ignore[arg-type]
    assert (answered(refused.value), silent.asked) == ((503, "Draining"), 0)


def circuit(index: int) -> Circuit:
    return Circuit("tiny", index, (0, 1), Path(str(index)), "0" * 64, "1" * 64, (1, 2), (1, 2))


def test_a_circuit_is_tried_again_ever_more_seldom() -> None:
    now = 0.0
    loads = CircuitLoads(clock=lambda: now)
    one, two = circuit(1), circuit(2)
    loads.want((one, two))
    assert (loads.due, loads.tried) == ((one, two), False)
    loads.loaded(one)
    loads.failed(two)
    assert (loads.due, loads.tried) == ((), True)
    assert loads.broken == {two}
    assert not loads.lacks(one)
    with pytest.raises(ServerError, match="did not load here"):
        loads.lacks(two)
    waits = []
    for _ in range(12):
        began = now
        while not loads.due:
            now += 1
        waits.append(now - began)
        assert loads.lacks(two)
        loads.failed(two)
    assert waits == sorted(waits)
    assert waits[0] < 10
    assert waits[-1] == MOST_AGAIN_SECONDS
    loads.reset()
    assert loads.due == (one,), "another process has none, and what fails waits all the same"
    now += MOST_AGAIN_SECONDS
    loads.loaded(two)
    assert loads.broken == set()
    assert not loads.lacks(circuit(3)), "one that nobody asked for is left to the worker"


@pytest.mark.encrypted
def test_who_gives_up_while_a_circuit_loads_leaves_no_blame(build_tiny: Callable[[str], Any], tmp_path: Path) -> None:
    (wanted,) = ModelRegistry([build_tiny("CCSCC").folder]).circuits
    supervisor = Supervisor(threads=1, cached_keys=1, deadline_seconds=60)
    try:
        supervisor.loads.want((wanted,))
        supervisor.ping()
        assert supervisor.process is not None
        os.kill(supervisor.process, signal.SIGSTOP)
        threading.Timer(0.5, supervisor.interrupt).start()
        with pytest.raises(WorkerLost):
            supervisor.evaluate(wanted, tmp_path / "keys", "keys", b"")
        assert not supervisor.loads.broken
        assert supervisor.loads.due == (wanted,)
        # One that is killed by something else while it loads is tried once more at once.
        supervisor.ping()
        assert supervisor.process is not None
        os.kill(supervisor.process, signal.SIGSTOP)
        threading.Timer(0.5, os.kill, (supervisor.process, signal.SIGKILL)).start()
        supervisor.load()
        assert not supervisor.loads.due
    finally:
        supervisor.stop()
