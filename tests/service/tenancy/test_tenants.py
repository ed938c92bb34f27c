"""Tenants, their tokens and quotas: by the database first, then over real sockets with two of them."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import numpy as np
import pytest
from cryptml_client import Client, KeyStore
from cryptml_server.base.errors import (
    CircuitFailure,
    EvaluationTooSlow,
    OtherOffset,
    ServerError,
    TooBusy,
    UnknownKeys,
    UnusableCiphertext,
)
from cryptml_server.base.models import Circuit
from cryptml_server.base.settings import Settings
from cryptml_server.database import Database, DatabaseUnavailable, daily_usage, evaluation_keys
from cryptml_server.database.administration import open_database
from cryptml_server.keys.files import KeyFiles
from cryptml_server.keys.store import EvaluationKeyStore
from cryptml_server.keys.upload_bytes import LeastRate
from cryptml_server.keys.uploads import UploadService
from cryptml_server.tenancy.tenants import ANONYMOUS, Quotas, TenantStore
from cryptml_server.tenancy.usage import UsageMeter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update
from typer.testing import CliRunner

from benchmarks.requester import connect
from cryptml.bundle import ServerBundle
from cryptml.cli.main import app
from cryptml.errors import ServiceRefused, SettingError
from cryptml.files import sha256
from cryptml.networks import FloatArray, Network
from cryptml.verification.local_service import LocalService, local_service
from tests.service.answered import answered
from tests.service.clinic import Clinic

runner = CliRunner()


@pytest.fixture
def store(database: Database) -> TenantStore:
    return TenantStore(database)


def circuit(index: int = 0) -> Circuit:
    return Circuit("tiny", index, (2 * index, 2 * index + 1), Path(), "0" * 64, "1" * 64, (1, 2), (1, 2))


def refusal(meter: UsageMeter, tenant: Any, index: int = 0, fault: ServerError | None = None) -> ServerError | None:
    """Count one evaluation, which may end with a fault, and return what it was refused with."""

    async def evaluate() -> None:
        async with meter.evaluation(tenant, circuit(index)):
            if fault is not None:
                raise fault

    try:
        anyio.run(evaluate)
    except ServerError as problem:
        return problem
    return None


def test_a_token_finds_its_tenant_and_is_kept_nowhere(store: TenantStore, tmp_path: Path) -> None:
    tenant, token = store.add("clinic", Quotas())
    other, foreign = store.add("other-clinic", Quotas(keys=1))
    assert store.authenticate(token) == tenant
    assert store.authenticate(foreign) == other
    assert store.list() == [tenant, other]
    secret = token.partition(".")[2].encode()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes()


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{43}", fullmatch=True))
def test_no_other_token_is_anybodys(tmp_path_factory: pytest.TempPathFactory, token: str) -> None:
    opened = open_database(Settings(data=tmp_path_factory.mktemp("data")))
    tenants = TenantStore(opened)
    tenant, right = tenants.add("clinic", Quotas())
    assert tenants.authenticate(token) is None
    assert tenants.authenticate(f"{tenant.id}.{token.rpartition('.')[2]}") is None
    assert tenants.authenticate(right + "x") is None
    assert tenants.authenticate(right) == tenant
    opened.close()


def test_a_rotated_token_works_for_its_grace_and_a_revoked_one_not_at_all(store: TenantStore) -> None:
    tenant, first = store.add("clinic", Quotas())
    second = store.rotate("clinic", grace_seconds=1.0)
    assert store.authenticate(first) == store.authenticate(second) == tenant
    time.sleep(1.1)
    assert store.authenticate(first) is None
    third = store.rotate("clinic")
    assert store.authenticate(second) is None
    assert store.authenticate(third) == tenant
    store.revoke("clinic")
    assert store.authenticate(third) is None
    with pytest.raises(SettingError, match="was revoked"):
        store.rotate("clinic")
    with pytest.raises(SettingError, match="already"):
        store.add("clinic", Quotas())


@pytest.mark.parametrize("name", ["", "Clinic", "-a", "a b", "x" * 65, ANONYMOUS, "../x", "a\n"])
def test_names_are_plain(store: TenantStore, name: str) -> None:
    with pytest.raises(SettingError, match="cannot be the name of a tenant"):
        store.add(name, Quotas())


def test_all_quotas_out_of_bounds_are_named() -> None:
    with pytest.raises(SettingError, match=r"key_bytes is 0.*daily_evaluations is -1"):
        Quotas(key_bytes=0, daily_evaluations=-1)


def test_everybody_has_one_tenant_and_no_token(store: TenantStore) -> None:
    assert store.anonymous() == store.anonymous()
    with pytest.raises(SettingError, match="cannot be the name"):
        store.add(ANONYMOUS, Quotas())


def test_a_day_has_so_many_evaluations(store: TenantStore, database: Database) -> None:
    tenant, _ = store.add("clinic", Quotas(daily_evaluations=3))
    other, _ = store.add("other", Quotas(daily_evaluations=3))
    meter = UsageMeter(database)
    assert [refusal(meter, tenant) for _ in range(3)] == [None] * 3
    refused = refusal(meter, tenant)
    assert refused is not None
    assert answered(refused) == (429, "Daily quota used up")
    assert refused.retry_after is not None
    assert 0 < refused.retry_after <= 86_400
    assert refusal(meter, other) is None
    with database.writing() as connection:  # yesterday's do not count
        connection.execute(update(daily_usage).values(day=daily_usage.c.day - 1))
    assert refusal(meter, tenant) is None
    assert meter.used_today(tenant) == 1


def test_a_segment_has_a_budget_that_no_restart_renews(store: TenantStore, database: Database) -> None:
    tenant, _ = store.add("clinic", Quotas(segment_queries=2))
    meter = UsageMeter(database)
    meter.set_budget(tenant, "tiny", (2, 3), 1)
    assert [refusal(meter, tenant, 0) for _ in range(2)] == [None] * 2
    assert refusal(meter, tenant, 1) is None
    for index in (0, 1):
        refused = refusal(UsageMeter(database), tenant, index)
        assert refused is not None
        assert answered(refused) == (403, "Query budget used up")
    assert [(each["start"], each["used"], each["budget"]) for each in meter.budgets(tenant)] == [(0, 2, 2), (2, 1, 1)]
    assert meter.used_today(tenant) == 3, "what was refused is not counted"
    meter.set_budget(tenant, "tiny", (2, 3), None)
    assert refusal(meter, tenant, 1) is None


def test_what_failed_by_the_services_fault_is_given_back(store: TenantStore, database: Database) -> None:
    tenant, _ = store.add("clinic", Quotas(segment_queries=2))
    meter = UsageMeter(database)
    for kind, left in (
        (TooBusy, 0),
        (UnknownKeys, 0),
        (CircuitFailure, 0),
        (UnusableCiphertext, 1),
        (EvaluationTooSlow, 2),
    ):
        fault = kind("for a test")
        assert refusal(meter, tenant, fault=fault) is fault
        assert (meter.used_today(tenant), meter.budgets(tenant)[0]["used"]) == (left, left)


def test_only_so_many_at_once(store: TenantStore, database: Database) -> None:
    tenant, _ = store.add("clinic", Quotas(concurrent_evaluations=2))
    meter = UsageMeter(database)

    async def ask() -> None:
        with meter.place(tenant), meter.place(tenant):
            with pytest.raises(ServerError) as refused, meter.place(tenant):
                pass
            assert answered(refused.value) == (429, "Too many evaluations at once")
        with meter.place(tenant):
            pass

    anyio.run(ask)


def test_counts_are_exact_when_many_count_at_once(store: TenantStore, database: Database) -> None:
    tenant, _ = store.add("clinic", Quotas(daily_evaluations=50, concurrent_evaluations=100))
    meters = [UsageMeter(database) for _ in range(4)]
    outcomes: list[ServerError | None] = []
    threads = [
        threading.Thread(target=lambda meter=meter: outcomes.extend(refusal(meter, tenant) for _ in range(20)))
        for meter in meters
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 80
    assert outcomes.count(None) == 50 == meters[0].used_today(tenant)


def test_a_locked_database_is_said_to_be_unavailable(tmp_path: Path) -> None:
    opened = Database(Settings(data=tmp_path).database_url, busy_seconds=0.2)
    opened.upgrade()
    holder = sqlite3.connect(tmp_path / "cryptml.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable):
        TenantStore(opened).add("clinic", Quotas())
    assert TenantStore(opened).list() == [], "who reads waits for no writer"
    holder.execute("ROLLBACK")
    assert TenantStore(opened).list() == []
    opened.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://h/x", "of kind 'mysql' is not supported"),
        ("sqlite://", "in memory"),
        ("nonsense", "cannot be used"),
    ],
)
def test_other_databases_are_refused(url: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Database(url)


def test_a_database_without_tables_is_refused_where_it_is_not_embedded(tmp_path: Path) -> None:
    opened = Database(f"sqlite:///{tmp_path / 'new.db'}")
    with pytest.raises(SettingError, match="of version none, this program needs .*; run cryptml database upgrade"):
        opened.require_current()
    opened.upgrade()
    opened.require_current()
    opened.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "example.org"])
def test_everybody_is_answered_on_this_machine_alone(host: str) -> None:
    with pytest.raises(ValueError, match="may be reached by others"):
        Settings(host=host, insecure_anonymous=True)
    for near in ("127.0.0.1", "::1", "localhost", "127.3.2.1"):
        assert Settings(host=near, insecure_anonymous=True).insecure_anonymous


def test_the_commands_add_list_change_rotate_and_revoke(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = runner.invoke(app, ["tenants", *arguments, "--data", str(tmp_path)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    token = run("add", "clinic", "--daily-evaluations", "7").strip()
    assert re.fullmatch(r"[0-9a-f]{16}\.[\w-]{43}", token)
    run("change", "clinic", "--keys", "3")
    (tenant,) = json.loads(run("list", "--json"))["tenants"]
    assert (tenant["name"], tenant["quotas"]["daily_evaluations"], tenant["quotas"]["keys"]) == ("clinic", 7, 3)
    assert token.partition(".")[2] not in json.dumps(tenant)
    assert "0 of 7" in run("list")
    rotated = json.loads(run("rotate", "clinic", "--json"))["token"]
    assert rotated != token
    run("budget", "clinic", "--model", "tiny", "--segment", "2-5", "--queries", "4")
    run("revoke", "clinic")
    assert "revoked" in run("list")
    for arguments, said in (
        (["revoke", "nobody"], "no tenant 'nobody'"),
        (["change", "clinic"], "nothing is to be changed"),
        (["budget", "clinic", "--model", "tiny"], "give either --profile, or --segment with --queries or --no-bound"),
        (["budget", "clinic", "--model", "tiny", "--segment", "5-2", "--queries", "1"], "'5-2' is not a segment"),
    ):
        refused = runner.invoke(app, ["tenants", *arguments, "--data", str(tmp_path)])
        assert refused.exit_code == 1
        assert said in str(refused.exception)


def test_budgets_of_a_profile_lie_below_what_recovers_a_segment(tmp_path: Path) -> None:
    profile = Path(__file__).parents[3] / "profiles/conv/xeon-2-cores/profile.json"
    known = {
        (each["start"], each["stop"]): each["exposure"]["queries"]
        for each in json.loads(profile.read_text())["segments"]
        if each["exposure"]["queries"] and each["exposure"]["parameters"]
    }
    runner.invoke(app, ["tenants", "add", "clinic", "--data", str(tmp_path)], catch_exceptions=False)
    options = ["--model", "conv", "--profile", str(profile), "--json", "--data", str(tmp_path)]
    result = runner.invoke(app, ["tenants", "budget", "clinic", *options], catch_exceptions=False)
    found = {(each["start"], each["stop"]): each["budget"] for each in json.loads(result.stdout)["budgets"]}
    assert set(found) == set(known) != set()
    assert all(found[place] < known[place] / 2 for place in known)
    wrong = runner.invoke(app, ["tenants", "budget", "clinic", *options[2:], "--model", "tiny"])
    assert "of network 'conv', not of model 'tiny'" in str(wrong.exception)


BODY = bytes(range(200))


class Keys:
    """Files, rows and uploads of evaluation keys."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.files = KeyFiles(folder)
        self.folder = folder
        self.store = EvaluationKeyStore(self.files, database, unused_seconds=1000)
        self.uploads = UploadService(self.files, database, limit=10_000, seconds=5)

    def on_disk(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def keys(database: Database, tmp_path: Path) -> Iterator[Keys]:
    made = Keys(tmp_path / "keys", database)
    yield made
    made.files.close()


def small(index: int = 0) -> Circuit:
    return Circuit("tiny", index, (0, 1), Path(), "0" * 64, str(index) * 64, (1, 2), (100, 300))


async def stream(*blocks: bytes) -> Any:
    for block in blocks:
        yield block


async def upload(keys: Keys, tenant: Any, body: bytes = BODY, index: int = 0, hold: float = 0.0) -> str:
    digest = sha256(body)
    async with keys.uploads.whole(tenant, small(index), digest, stream(body[:50], body[50:])) as received:
        await anyio.sleep(hold)
        await anyio.to_thread.run_sync(keys.store.keep, tenant, small(index), digest, received)
    return digest


def test_quotas_hold_while_uploads_wait_to_be_checked(store: TenantStore, keys: Keys) -> None:
    tenant, _ = store.add("clinic", Quotas(keys=2))
    other, _ = store.add("other", Quotas())

    async def run() -> list[str]:
        outcomes: list[str] = []

        async def one(who: Any, body: bytes) -> None:
            try:
                outcomes.append(await upload(keys, who, body, hold=0.3))
            except ServerError as problem:
                outcomes.append(answered(problem)[1])

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(one, tenant, BODY + bytes([number]))
            await anyio.sleep(0.1)
            tasks.start_soon(one, other, BODY)
        return outcomes

    outcomes = anyio.run(run)
    assert outcomes.count("Too busy") == 2, "a tenant has two uploads at once, and does not keep others from theirs"
    assert len([each for each in outcomes if len(each) == 64]) == 3
    with pytest.raises(ServerError, match="you have stored 2 of 2"):
        anyio.run(upload, keys, tenant, BODY + b"x")
    assert len(keys.on_disk()) == 3


def test_the_same_keys_twice_at_once_are_stored_once(store: TenantStore, keys: Keys) -> None:
    tenant, _ = store.add("clinic", Quotas())

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload, keys, tenant)
            tasks.start_soon(upload, keys, tenant)

    anyio.run(run)
    assert len(keys.on_disk()) == 1
    assert keys.store.find(tenant, small(), sha256(BODY)).path.read_bytes() == BODY


def test_what_nobody_uses_and_what_a_crash_left_is_swept(
    store: TenantStore, keys: Keys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, _ = store.add("clinic", Quotas())
    used, unused, lost = (anyio.run(upload, keys, tenant, BODY + bytes([number])) for number in range(3))
    assert keys.store.sweep() == []
    orphan = keys.folder / tenant.id / small().key_set / ("f" * 32)
    orphan.write_bytes(b"no row")
    assert keys.store.sweep() == [], "it may be about to get one"
    assert orphan.exists()
    old = time.time() - 10_000
    os.utime(orphan, (old, old))
    keys.store.find(tenant, small(), lost).path.unlink()
    with database.writing() as connection:
        connection.execute(
            update(evaluation_keys).where(evaluation_keys.c.digest == unused).values(last_used=time.time() - 2000)
        )
    assert sorted(keys.store.sweep()) == sorted(f"{tenant.id}/{small().key_set}/{digest}" for digest in (unused, lost))
    assert [path.read_bytes() for path in keys.on_disk()] == [BODY + bytes([0])]
    assert keys.store.holds(tenant, small(), used)
    assert not keys.store.holds(tenant, small(), unused)
    assert anyio.run(upload, keys, tenant, BODY + bytes([2])) == lost, "what was lost may come again"
    with database.writing() as connection:  # used once in a while, they stay
        connection.execute(update(evaluation_keys).values(last_used=time.time() - 900))
    keys.store.find(tenant, small(), used)
    monkeypatch.setattr(keys.store, "_unused_seconds", 500.0)
    assert len(keys.store.sweep()) == 1
    assert keys.store.holds(tenant, small(), used)


def test_a_revoked_tenants_keys_go_whenever_they_came(store: TenantStore, keys: Keys) -> None:
    tenant, _ = store.add("leaving", Quotas())
    staying, _ = store.add("staying", Quotas())
    for who in (tenant, staying):
        anyio.run(upload, keys, who)

    async def late() -> None:
        async with keys.uploads.whole(tenant, small(1), sha256(BODY), stream(BODY)) as received:
            store.revoke("leaving")
            keys.store.keep(tenant, small(1), sha256(BODY), received)

    with pytest.raises(ServerError, match="was revoked"):
        anyio.run(late)
    for who in (tenant, staying):
        digest = sha256(BODY[::-1])
        keys.files.part(who.id, small().key_set, digest).write_bytes(b"some")
    assert len(keys.store.sweep()) == 1
    assert [path.parent.parent.name for path in keys.files.parts()] == [staying.id]
    keys.files.parts()[0].unlink()
    assert [path.parent.parent.name for path in keys.on_disk()] == [staying.id]


def test_one_service_has_a_folder(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="another service has its keys in"):
        KeyFiles(tmp_path / "keys")


def put_part(keys: Keys, tenant: Any, offset: int, *blocks: bytes, length: int = len(BODY)) -> int:
    """Send a part of `BODY`, keep the keys where it was the last, and return how many bytes are there."""

    async def run() -> int:
        digest = sha256(BODY)
        part = keys.uploads.part(tenant, small(), digest, stream(*blocks), offset=offset, length=length)
        async with part as (path, there):
            if there == length:
                keys.store.keep(tenant, small(), digest, path)
            return there

    return anyio.run(run)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, len(BODY) - 1), max_size=5, unique=True).map(sorted))
def test_keys_in_any_parts_are_the_keys(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    opened = open_database(Settings(data=tmp_path_factory.mktemp("data")))
    tenant, _ = TenantStore(opened).add("clinic", Quotas())
    made = Keys(tmp_path_factory.mktemp("keys"), opened)
    for start, stop in zip([0, *cuts], [*cuts, len(BODY)], strict=True):
        assert made.uploads.offset(tenant, small(), sha256(BODY)) == start
        assert put_part(made, tenant, start, BODY[start:stop]) == stop
    assert made.store.find(tenant, small(), sha256(BODY)).path.read_bytes() == BODY
    assert len(made.on_disk()) == 1
    made.files.close()


def test_an_upload_goes_on_where_it_broke_off(
    store: TenantStore, keys: Keys, database: Database, tmp_path: Path
) -> None:
    tenant, _ = store.add("clinic", Quotas(keys=2))

    async def broken() -> Any:
        yield BODY[:70]
        raise OSError("the client is gone")

    async def run() -> None:
        async with keys.uploads.part(tenant, small(), sha256(BODY), broken(), offset=0, length=len(BODY)):
            pytest.fail("it broke off")

    with pytest.raises(ServerError):
        anyio.run(run)
    keys.files.close()
    again = Keys(tmp_path / "keys", database)  # the service starts again
    assert again.uploads.offset(tenant, small(), sha256(BODY)) == 70
    with pytest.raises(OtherOffset) as refused:
        put_part(again, tenant, 60, BODY[60:])
    assert (answered(refused.value), refused.value.offset) == ((409, "Another offset"), 70)
    assert put_part(again, tenant, 70, BODY[70:100]) == 100
    assert again.store.sweep() == []
    assert len(again.on_disk()) == 1, "it may still go on"
    with pytest.raises(ServerError, match="more came than"):
        put_part(again, tenant, 100, BODY[100:], b"more")
    assert put_part(again, tenant, 200) == 200, "what came before the excess counts"
    assert again.store.holds(tenant, small(), sha256(BODY))
    other, _ = store.add("other", Quotas())
    assert put_part(again, other, 0, BODY[:10]) == 10
    for path in again.files.parts():
        os.utime(path, (1, 1))
    again.store.sweep()
    assert again.files.parts() == [], "nobody went on with it"
    again.files.close()


def test_parts_that_are_not_the_keys_are_dropped_and_bounded(store: TenantStore, keys: Keys) -> None:
    tenant, _ = store.add("clinic", Quotas(keys=100))
    with pytest.raises(ServerError, match="SHA-256 is not the one"):
        put_part(keys, tenant, 0, BODY[1:] + b"x")
    assert keys.on_disk() == []
    for length in (99, 301):
        with pytest.raises(ServerError, match="are said to have"):
            put_part(keys, tenant, 0, BODY, length=length)

    async def leave(number: int) -> None:
        digest = sha256(bytes([number]))
        async with keys.uploads.part(tenant, small(), digest, stream(b"some"), offset=0, length=100):
            pass

    for number in range(4):
        anyio.run(leave, number)
    with pytest.raises(ServerError, match="4 uploads of yours are unfinished"):
        anyio.run(leave, 4)


def test_parts_count_for_what_they_bring(store: TenantStore, keys: Keys) -> None:
    tenant, _ = store.add("clinic", Quotas(daily_upload_bytes=len(BODY)))

    async def send(offset: int, part: bytes) -> None:
        receiving = keys.uploads.part(
            tenant, small(), sha256(BODY), stream(part), offset=offset, length=len(BODY), announced=len(part)
        )
        async with receiving as (path, there):
            if there == len(BODY):
                keys.store.keep(tenant, small(), sha256(BODY), path)

    for offset in range(0, len(BODY), 20):
        anyio.run(send, offset, BODY[offset : offset + 20])
    assert keys.store.holds(tenant, small(), sha256(BODY))


def test_the_disk_is_waited_for_in_threads_and_not_for_every_block(
    store: TenantStore, keys: Keys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, _ = store.add("clinic", Quotas())
    large = replace(small(), key_bytes=(100, 4 << 20))
    desk = UploadService(keys.files, database, limit=1 << 30, seconds=5)
    block, written, removed = bytes(1 << 16), list[int](), list[Path]()
    write, unlink = os.write, Path.unlink

    def slow_write(file: int, data: bytes) -> int:
        if threading.current_thread() is not threading.main_thread():
            written.append(len(data))
        return write(file, data)

    def slow_unlink(path: Path, missing_ok: bool = False) -> None:
        if threading.current_thread() is not threading.main_thread():
            removed.append(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(os, "write", slow_write)
    monkeypatch.setattr(Path, "unlink", slow_unlink)

    async def run() -> list[Path]:
        digest = sha256(block * 40)
        async with desk.whole(tenant, large, digest, stream(*[block] * 40)) as one:
            assert one.read_bytes() == block * 40
        async with desk.part(tenant, large, digest, stream(*[block] * 40), offset=0, length=40 << 16) as (other, there):
            assert there == 40 << 16
        return [one, other]

    received = anyio.run(run)
    assert written == [1 << 20, 1 << 20, 8 << 16] * 2
    assert removed == received
    assert keys.on_disk() == []


def test_what_a_full_disk_took_is_there_once(store: TenantStore, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, _ = store.add("clinic", Quotas())
    write, room = os.write, 70

    def full(file: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        taken = write(file, data[:room])
        room -= taken
        return taken

    with monkeypatch.context() as patch:
        patch.setattr("cryptml_server.keys.uploads.os.write", full)
        with pytest.raises(ServerError, match="No space left"):
            put_part(keys, tenant, 0, BODY)
    assert put_part(keys, tenant, 70, BODY[70:]) == len(BODY)
    assert keys.store.holds(tenant, small(), sha256(BODY))


def test_an_upload_that_trickles_in_is_ended(store: TenantStore, keys: Keys, database: Database) -> None:
    tenant, _ = store.add("clinic", Quotas())
    rate = LeastRate(after_seconds=0.05, bytes_per_second=300)
    uploads = UploadService(keys.files, database, limit=10_000, seconds=5, rate=rate)

    async def trickle(pause: float, size: int) -> Any:
        for start in range(0, len(BODY), size):
            await anyio.sleep(pause)
            yield BODY[start : start + size]

    async def send(pause: float, size: int) -> None:
        body = trickle(pause, size)
        async with uploads.part(tenant, small(), sha256(BODY), body, offset=0, length=len(BODY)) as (path, _):
            keys.store.keep(tenant, small(), sha256(BODY), path)

    with pytest.raises(ServerError, match="fewer than 300 a second") as refused:
        anyio.run(send, 0.02, 1)
    assert answered(refused.value) == (408, "Upload too slow")
    there = uploads.offset(tenant, small(), sha256(BODY))
    assert 1 <= there <= 3, "it may go on there"
    uploads.discard(tenant, small(), sha256(BODY))
    anyio.run(send, 0.07, len(BODY))
    assert keys.store.holds(tenant, small(), sha256(BODY)), "slow, but fast enough"


def test_a_part_that_ends_while_another_is_counted_is_no_fault(
    store: TenantStore, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, _ = store.add("clinic", Quotas())
    gone = keys.files.part(tenant.id, small().key_set, "0" * 64)
    monkeypatch.setattr(keys.files, "parts", lambda _=None: [gone])
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    assert put_part(keys, tenant, 0, BODY[:20]) == 20


def uploaded_today(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(text("SELECT coalesce(sum(upload_bytes), 0) FROM daily_usage")).scalar_one())


def test_no_announced_length_makes_an_upload_free(store: TenantStore, keys: Keys, database: Database) -> None:
    tenant, _ = store.add("clinic", Quotas(daily_upload_bytes=len(BODY)))

    async def send(body: bytes, offset: int, announced: int) -> None:
        digest = sha256(BODY)
        receiving = keys.uploads.part(
            tenant, small(), digest, stream(body), offset=offset, length=len(BODY), announced=announced
        )
        async with receiving:
            pass

    with pytest.raises(ServerError, match="more came than"):
        anyio.run(send, BODY, 0, -1)
    assert uploaded_today(database) == keys.uploads.offset(tenant, small(), sha256(BODY)) == 0
    with pytest.raises(ServerError, match="more came than"):
        anyio.run(send, BODY, 0, 50)
    anyio.run(send, BODY[:30], 0, 30)
    assert uploaded_today(database) == 80
    with pytest.raises(ServerError, match="bytes of uploads of this day"):
        anyio.run(send, BODY[30:], 30, 10**18)
    assert uploaded_today(database) == 80


def test_good_keys_that_cannot_be_kept_just_now_need_not_come_again(store: TenantStore, keys: Keys) -> None:
    tenant, _ = store.add("clinic", Quotas())

    async def busy() -> None:
        receiving = keys.uploads.part(tenant, small(), sha256(BODY), stream(BODY), offset=0, length=len(BODY))
        async with receiving:
            raise TooBusy("for a test")

    with pytest.raises(ServerError, match="for a test"):
        anyio.run(busy)
    assert put_part(keys, tenant, len(BODY)) == len(BODY), "nothing is left to send"
    assert keys.store.holds(tenant, small(), sha256(BODY))
    put_part(keys, store.add("other", Quotas())[0], 0, BODY[:20])
    assert keys.uploads.discard(store.find("other"), small(), sha256(BODY))
    assert not keys.uploads.discard(store.find("other"), small(), sha256(BODY))


def test_a_days_uploads_are_bounded(store: TenantStore, keys: Keys) -> None:
    tenant, _ = store.add("clinic", Quotas(daily_upload_bytes=700))
    for number in range(2):
        anyio.run(upload, keys, tenant, BODY + bytes([number]))
    with pytest.raises(ServerError, match="bytes of uploads of this day"):
        anyio.run(upload, keys, tenant, BODY)
    other, _ = store.add("other", Quotas())
    anyio.run(upload, keys, other, BODY)


def test_everybody_cannot_be_rotated_or_revoked(store: TenantStore) -> None:
    store.anonymous()
    for action in (store.rotate, store.revoke):
        with pytest.raises(SettingError, match="is everybody on a service without tokens"):
            action(ANONYMOUS)
    store.add("clinic", Quotas())
    with pytest.raises(SettingError, match="the grace is nan s"):
        store.rotate("clinic", grace_seconds=float("nan"))


def test_a_database_is_its_owners_alone_and_of_this_version(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    opened = open_database(Settings(data=tmp_path))
    TenantStore(opened).add("clinic", Quotas(keys=1 << 40))
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    with opened.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    opened.close()
    with pytest.raises(SettingError, match="newer version, or no database"):
        open_database(Settings(data=tmp_path))
    (tmp_path / "cryptml.db").write_bytes(b"something else " * 100)
    with pytest.raises(SettingError, match="newer version, or no database"):
        open_database(Settings(data=tmp_path))


def test_a_lock_on_postgresql_is_an_answer_too(postgresql: Any) -> None:
    opened = Database(postgresql(), busy_seconds=0.3)
    opened.upgrade()
    tenant, _ = TenantStore(opened).add("clinic", Quotas())
    meter = UsageMeter(opened)
    assert refusal(meter, tenant) is None
    with opened.writing() as connection:
        connection.execute(text("SELECT * FROM query_budgets FOR UPDATE"))
        with pytest.raises(DatabaseUnavailable):
            refusal(UsageMeter(opened), tenant)
    opened.close()


Guarded = tuple[LocalService, ServerBundle, Path]


class Member(Clinic):
    """One tenant with its own keys, on a live service."""

    def __init__(self, service: LocalService, bundle: ServerBundle, token: str) -> None:
        super().__init__(bundle)
        self.token = token
        self.http = connect(service.url, token, 120)

    def put(self) -> int:
        return self.store_keys(self.http).status_code

    def ask_with(self, digest: str) -> httpx.Response:
        return self.ask(self.http, **{"CryptML-Evaluation-Keys": digest})


@pytest.fixture(scope="module")
def guarded(build_tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    data, bundle = tmp_path_factory.mktemp("guarded"), build_tiny("CCSSS")
    with local_service([bundle.folder], data, anonymous=False) as running:
        yield running, bundle, data


def add(data: Path, name: str, *options: str) -> str:
    result = runner.invoke(app, ["tenants", "add", name, *options, "--data", str(data)], catch_exceptions=False)
    return result.stdout.strip()


def without_id(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


@pytest.mark.encrypted
def test_nothing_is_answered_without_a_token(guarded: Guarded) -> None:
    service, _, _ = guarded
    wrong = ["", "Bearer", "Bearer x", f"Bearer {'0' * 16}.{'A' * 43}", f"Basic {'0' * 16}.{'A' * 43}", "Bearer \x7f"]
    paths = ["/v1/models", "/v1/models/tiny", "/v1/models/nobody", "/v1/models/tiny/client-bundle"]
    with httpx.Client(base_url=service.url, timeout=60) as http:
        answers = {str(without_id(http.get(path, headers={"Authorization": each}))) for path in paths for each in wrong}
        refused = http.get("/v1/models")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert refused.json()["title"] == "Not authenticated"
        assert len(answers) == 1, "all that are wrong get the same answer"
        assert http.get("/v1/health/live").status_code == 200
        assert http.post("/v1/models/tiny/segments/0/evaluations", content=b"x").status_code == 401
        for odd in (b"Bearer " + b"x" * 60_000, b"Bearer \xff\xfe", b"Bearer " + b" ".join([b"a"] * 100)):
            assert http.get("/v1/models", headers=[(b"Authorization", odd)]).status_code in (400, 401, 431)
        assert http.get("/v1/health/live").status_code == 200


@pytest.mark.encrypted
def test_a_tenant_neither_uses_nor_sees_nor_deletes_anothers_keys(guarded: Guarded) -> None:
    service, bundle, data = guarded
    one, two = (Member(service, bundle, add(data, name)) for name in ("one", "two"))
    assert one.put() == 201
    assert one.ask_with(one.keys.digest).status_code == 200
    unknown = two.ask_with("f" * 64)
    stolen = two.ask_with(one.keys.digest)
    assert stolen.status_code == unknown.status_code == 404
    assert without_id(stolen) == without_id(unknown), "whether another has them cannot be told"
    for method in ("HEAD", "DELETE"):
        assert two.http.request(method, one.keys_path, params={"segment": 0}).status_code == 404
    assert one.ask_with(one.keys.digest).status_code == 200, "they are still there"
    two.keys, two.keys_path = one.keys, one.keys_path
    assert two.put() == 201, "the same bytes are another key of another tenant"
    assert one.http.delete(one.keys_path, params={"segment": 0}).status_code == 204
    assert two.ask_with(two.keys.digest).status_code == 200, "and stay when the first are gone"
    assert one.ask_with(one.keys.digest).status_code == 404
    stored = list((data / "evaluation-keys").glob(f"*/{one.identity}/*"))
    assert [path.read_bytes() for path in stored].count(one.keys.evaluation_keys) == 1, "deleted keys are gone"


@pytest.mark.encrypted
def test_quotas_hold_over_http(guarded: Guarded) -> None:
    service, bundle, data = guarded
    clinic = Member(service, bundle, add(data, "small", "--keys", "1", "--daily-evaluations", "2"))
    assert clinic.put() == 201
    assert clinic.put() == 200, "the same keys again are no second ones"
    other = Member(service, bundle, clinic.token)
    assert other.put() == 403
    assert [clinic.ask_with(clinic.keys.digest).status_code for _ in range(3)] == [200, 200, 429]
    tiny_keys = Member(service, bundle, add(data, "little", "--key-bytes", "1000"))
    assert tiny_keys.put() == 403


@pytest.mark.encrypted
def test_a_revoked_tenant_is_refused_at_once_by_a_service_that_runs(guarded: Guarded) -> None:
    service, bundle, data = guarded
    clinic = Member(service, bundle, add(data, "leaving"))
    assert clinic.put() == 201
    runner.invoke(app, ["tenants", "revoke", "leaving", "--data", str(data)], catch_exceptions=False)
    assert clinic.ask_with(clinic.keys.digest).status_code == 401


@pytest.mark.encrypted
def test_the_client_sends_its_token(guarded: Guarded, tiny: Network, tiny_regions: FloatArray, tmp_path: Path) -> None:
    service, _, data = guarded
    token = add(data, "careful")
    with Client(service.url, keys=KeyStore(tmp_path / "keys"), trust_first_use=True, token=token) as client:
        answer = client.predict_region(tiny_regions[0]).answer
        assert np.array_equal(answer.integers, tiny.run(tiny.quantise(tiny_regions[:1]))[0])
    with (
        Client(service.url, keys=KeyStore(tmp_path / "other"), trust_first_use=True) as client,
        pytest.raises(ServiceRefused, match="Not authenticated"),
    ):
        client.predict_region(tiny_regions[0])
    with pytest.raises(SettingError, match="in the clear; use the https"):
        Client("http://clinic.example:8000", token=token)
    with pytest.raises(SettingError, match="holds spaces or characters"):
        Client(service.url, token="a b")


def test_a_token_goes_into_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    file, data = tmp_path / "clinic.token", ["--data", str(tmp_path / "data")]
    result = runner.invoke(app, ["tenants", "add", "clinic", "--out", str(file), *data], catch_exceptions=False)
    assert result.exit_code == 0
    token = file.read_text().strip()
    assert token not in result.output
    assert file.stat().st_mode & 0o777 == 0o600
    for command in (["add", "clinic"], ["add", "other"], ["rotate", "clinic"]):
        refused = runner.invoke(app, ["tenants", *command, "--out", str(file), *data])
        assert isinstance(refused.exception, SettingError), command
        assert "exists; choose another file" in str(refused.exception)
    assert file.read_text().strip() == token, "it is not lost to a command that is given twice"
    listed = json.loads(runner.invoke(app, ["tenants", "list", "--json", *data]).stdout)["tenants"]
    assert [each["name"] for each in listed] == ["clinic"]
    rotated = runner.invoke(app, ["tenants", "rotate", "clinic", "--out", str(tmp_path / "next"), "--json", *data])
    assert json.loads(rotated.stdout) == {"name": "clinic", "token_file": str(tmp_path / "next")}
    assert (tmp_path / "next").read_text().strip() != token
