"""Evaluation keys in an object store that several services share: a real one of S3's protocol, over real sockets."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from cryptml_server.base.errors import KeysUnreadable, NoRoomForKeys, ServerError, UnknownKeys
from cryptml_server.base.models import Circuit
from cryptml_server.base.settings import Settings
from cryptml_server.database import Database
from cryptml_server.database.administration import open_database
from cryptml_server.keys.files import EvaluationKeyFile, KeyFiles
from cryptml_server.keys.object_store import MARK
from cryptml_server.keys.store import KEY_THREADS, EvaluationKeyStore, in_key_thread
from cryptml_server.tenancy.tenants import Quotas, Tenant, TenantStore

from cryptml.errors import SettingError
from cryptml.files import sha256

BODY = bytes(range(256)) * 40
CIRCUIT = Circuit("tiny", 0, (0, 1), Path(), "0" * 64, "1" * 64, (1, 2), (100, 20_000))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an empty bucket."""
    pytest.importorskip("s3fs", reason="s3fs is not installed; cryptml[s3] has it")
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSSPEC_S3_ENDPOINT_URL", f"http://{host}:{port}")
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            patch.setenv(name, value)
        import fsspec.config
        import s3fs

        fsspec.config.set_conf_env(fsspec.config.conf)
        s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}").mkdir("clinic-keys")
        yield "s3://clinic-keys/some/folder"
        fsspec.config.conf.pop("s3", None)
    server.stop()


@pytest.fixture(params=["s3", "folder"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/shared" if request.param == "folder" else str(request.getfixturevalue("s3"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(Settings(data=tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return TenantStore(database).add("clinic", Quotas())[0]


class Service:
    """The keys of one of several services."""

    def __init__(self, folder: Path, database: Database, address: str, cache_bytes: int = 1 << 30) -> None:
        self.folder = folder
        self.files = KeyFiles(folder, object_store=address, cache_bytes=cache_bytes)
        self.store = EvaluationKeyStore(self.files, database, unused_seconds=1000)

    def keep(self, tenant: Tenant, body: bytes = BODY) -> str:
        upload = self.files.upload(tenant.id, CIRCUIT.key_set)
        upload.write_bytes(body)
        self.store.keep(tenant, CIRCUIT, sha256(body), upload)
        return sha256(body)

    def on_disk(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def services(tmp_path: Path, database: Database, address: str) -> Iterator[tuple[Service, Service]]:
    made = Service(tmp_path / "one", database, address), Service(tmp_path / "two", database, address, 15_000)
    yield made
    for each in made:
        each.files.close()


def test_what_one_stores_another_finds_and_deletes(services: tuple[Service, Service], tenant: Tenant) -> None:
    one, two = services
    digest = one.keep(tenant)
    assert two.store.holds(tenant, CIRCUIT, digest)
    found = two.store.find(tenant, CIRCUIT, digest)
    assert found.path.read_bytes() == BODY
    assert two.folder in found.path.parents
    assert found.path.stat().st_mode & 0o077 == 0
    assert one.store.deleted([found.name]) == []
    assert two.store.delete(tenant, CIRCUIT, digest) == found.name
    assert one.store.deleted([found.name]) == [found.name]
    assert not one.store.holds(tenant, CIRCUIT, digest)
    for path in one.on_disk():
        os.utime(path, (1, 1))
    assert one.store.sweep() == []
    assert one.on_disk() == [], "its copy goes with a sweep"
    assert two.on_disk() == []


def test_an_altered_object_is_lost_and_may_come_again(
    services: tuple[Service, Service], tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = services
    digest = one.keep(tenant)
    (path,) = one.on_disk()
    remote = one.files._remote
    assert remote is not None
    other = path.with_name("other")
    other.write_bytes(BODY[::-1])
    remote.put(other, EvaluationKeyFile(tenant.id, CIRCUIT.key_set, path.name).name)
    place = EvaluationKeyFile(tenant.id, CIRCUIT.key_set, path.name)
    with pytest.raises(ServerError, match="upload them first") as unknown:
        two.store.find(tenant, CIRCUIT, digest)
    assert isinstance(unknown.value, UnknownKeys)
    assert "were altered in the object store" in caplog.text
    assert two.on_disk() == []
    assert not two.files.is_there(place)
    assert not one.store.holds(tenant, CIRCUIT, digest)
    assert one.keep(tenant) == digest
    assert two.store.find(tenant, CIRCUIT, digest).path.read_bytes() == BODY


def test_a_store_that_does_not_answer_loses_nothing(
    services: tuple[Service, Service], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = services
    digest = one.keep(tenant)
    remote = two.files._remote
    assert remote is not None

    def stale(path: str, **_: Any) -> Any:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(remote._system, "info", stale, raising=False)
        with pytest.raises(ServerError, match="Stale file handle") as refused:
            two.store.holds(tenant, CIRCUIT, digest)
        assert isinstance(refused.value, KeysUnreadable)
        with pytest.raises(OSError, match="Stale"):
            two.store.sweep()
    with monkeypatch.context() as patch, suppress(OSError):  # for all but the mark; a later sweep may do the rest
        info = remote._system.info
        patch.setattr(
            remote._system, "info", lambda path, **_: info(path) if path.endswith(MARK) else stale(path), raising=False
        )
        two.store.sweep()
    assert two.store.holds(tenant, CIRCUIT, digest)
    assert two.store.find(tenant, CIRCUIT, digest).path.read_bytes() == BODY


@pytest.mark.parametrize("empty", [True, False], ids=["empty mount point", "no folder"])
def test_a_folder_that_is_not_mounted_loses_nothing(
    tmp_path: Path, database: Database, tenant: Tenant, caplog: pytest.LogCaptureFixture, empty: bool
) -> None:
    mount, away = tmp_path / "shared", tmp_path / "away"
    one, two = (Service(tmp_path / name, database, f"file://{mount}") for name in ("one", "two"))
    digest = one.keep(tenant)
    mount.rename(away)
    if empty:
        mount.mkdir()
    for ask in (two.store.holds, two.store.find):
        with pytest.raises(ServerError, match="is not there, or is another one") as refused:
            ask(tenant, CIRCUIT, digest)
        assert isinstance(refused.value, KeysUnreadable)
    with pytest.raises(OSError, match="is not there, or is another one"):
        two.store.sweep()
    assert "is it mounted" in caplog.text
    with pytest.raises(ServerError, match="is not there, or is another one") as refused:
        two.keep(tenant, BODY[1:])
    assert isinstance(refused.value, NoRoomForKeys), "else it would lie below the mount"
    assert not mount.exists() or list(mount.iterdir()) == []
    if empty:
        mount.rmdir()
    away.rename(mount)
    assert two.store.sweep() == []
    assert two.store.find(tenant, CIRCUIT, digest).path.read_bytes() == BODY
    (mount / MARK).unlink()  # of a version that had none
    assert one.store.sweep() == []
    assert (mount / MARK).is_file()
    for each in (one, two):
        each.files.close()


def test_an_object_that_goes_while_others_are_looked_for_stops_no_sweep(
    services: tuple[Service, Service], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = services
    for name in ("e" * 32, "f" * 32):
        orphan = one.files.upload(tenant.id, CIRCUIT.key_set)
        orphan.write_bytes(b"no row")
        one.files.keep(orphan, EvaluationKeyFile(tenant.id, CIRCUIT.key_set, name))
    remote = two.files._remote
    assert remote is not None
    modified = remote._system.modified

    def vanishing(path: str) -> Any:
        if path.endswith("e" * 32):
            one.files.delete(EvaluationKeyFile(tenant.id, CIRCUIT.key_set, "e" * 32))
        return modified(path)

    monkeypatch.setattr(remote._system, "modified", vanishing, raising=False)
    two.files.remote_settling_seconds = -100.0
    two.store.sweep()
    assert remote.is_marked(), "the mark is no file without a row"
    assert remote.files() == []


def test_what_many_ask_for_at_once_is_brought_once(
    services: tuple[Service, Service], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = services
    digest = one.keep(tenant)
    remote = two.files._remote
    assert remote is not None
    get, brought = remote.get, list[str]()

    def slow(name: str, path: Path) -> bool:
        brought.append(name)
        time.sleep(0.1)
        return get(name, path)

    monkeypatch.setattr(remote, "get", slow)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: two.store.find(tenant, CIRCUIT, digest).path.read_bytes(), range(4)))
    assert found == [BODY] * 4
    assert len(brought) == 1
    assert two.files._bringing == {}


def test_a_slow_store_leaves_threads_to_others() -> None:
    go_on, running, most = threading.Event(), 0, 0
    guard = threading.Lock()

    def slow(_: int) -> None:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        go_on.wait(20)
        with guard:
            running -= 1

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(in_key_thread, slow, number)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(5):
                assert await anyio.to_thread.run_sync(lambda: "authenticated") == "authenticated"
            go_on.set()

    anyio.run(run)
    assert 1 <= most <= KEY_THREADS


def test_a_lost_object_may_come_again_and_one_without_a_row_goes(
    services: tuple[Service, Service], tenant: Tenant
) -> None:
    one, two = services
    digest = one.keep(tenant)
    (path,) = one.on_disk()
    place = EvaluationKeyFile(tenant.id, CIRCUIT.key_set, path.name)
    one.files.delete(place)
    assert not two.store.holds(tenant, CIRCUIT, digest)
    assert one.keep(tenant) == digest
    orphan = one.files.upload(tenant.id, CIRCUIT.key_set)
    orphan.write_bytes(b"no row")
    one.files.keep(orphan, EvaluationKeyFile(tenant.id, CIRCUIT.key_set, "f" * 32))
    two.store.sweep()
    assert two.files.is_there(EvaluationKeyFile(tenant.id, CIRCUIT.key_set, "f" * 32)), "it may be about to get one"
    two.files.remote_settling_seconds = -100.0
    two.store.sweep()
    assert not two.files.is_there(EvaluationKeyFile(tenant.id, CIRCUIT.key_set, "f" * 32))
    assert two.store.find(tenant, CIRCUIT, digest).path.read_bytes() == BODY


def test_the_folder_keeps_what_was_used_last(services: tuple[Service, Service], tenant: Tenant) -> None:
    one, two = services
    digests = [one.keep(tenant, bytes([number]) + BODY) for number in range(3)]
    two.store.find(tenant, CIRCUIT, digests[0])
    (first,) = two.on_disk()
    two.store.find(tenant, CIRCUIT, digests[1])
    assert len(two.on_disk()) == 2, "it was used a moment ago, and may be about to be read"
    os.utime(first, (1, 1))
    two.store.find(tenant, CIRCUIT, digests[2])
    assert first not in two.on_disk()
    assert len(two.on_disk()) == 2
    assert two.store.find(tenant, CIRCUIT, digests[0]).path.read_bytes() == b"\0" + BODY


def test_a_cached_file_that_is_swept_meanwhile_is_no_fault(services: tuple[Service, Service], tenant: Tenant) -> None:
    one, two = services
    digest = one.keep(tenant)
    swept = two.folder / tenant.id / CIRCUIT.key_set / ("f" * 32)
    swept.parent.mkdir(parents=True)
    swept.symlink_to("nowhere")  # it is listed, and not there
    assert two.store.find(tenant, CIRCUIT, digest).path.read_bytes() == BODY


def test_an_address_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="the object store cannot be used"):
        KeyFiles(tmp_path / "keys", object_store="nonsense://bucket")
