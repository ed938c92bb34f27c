"""Looks at a deployment and says what is wrong with it, or may become so; it changes nothing that stays."""

from __future__ import annotations

import http.client
import os
import resource
import shutil
import socket
import ssl
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Literal

from cryptography import x509
from sqlalchemy import insert, text

from cryptml.bundle.server import ServerBundle
from cryptml.cluster import connect
from cryptml.errors import CryptmlError
from cryptml_server.base.models import Circuit, ModelRegistry
from cryptml_server.base.problems import Problem
from cryptml_server.base.settings import Settings, is_loopback
from cryptml_server.base.tls import tls_context
from cryptml_server.database import Database, DatabaseUnavailable, tenants
from cryptml_server.keys.object_store import ObjectStore
from cryptml_server.operations.memory_forecast import forecast
from cryptml_server.workers.local import Supervisor

State = Literal["ok", "warning", "wrong"]

WORKER_SECONDS = 120.0
PROBE_SECONDS = 5.0
SPARE_FILES = 128
"""Open files beside connections: database, log, pipes of workers, bundles that are handed out."""

EXPIRY_DAYS = 30
CLOCK_SECONDS = 5.0
FULL_SYNC = 2
"""SQLite's ``synchronous``: every commit is on disk before it returns."""

MEMORY_SHARE = 0.8
CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: Its name.
        state: ``ok``, ``warning`` where the service works but should not be left so, ``wrong`` where it does not.
        what: One sentence.
        instead: What to do; empty where nothing is to be done.
    """

    check: str
    state: State
    what: str
    instead: str = ""


class Patient:
    """What the checks look at; bundles are read once.

    Args:
        settings: Of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def bundles(self) -> list[tuple[Path, ServerBundle | str]]:
        """Every bundle with its folder, or why it cannot be used."""
        return [(folder, _loaded(folder)) for folder in self.settings.bundles]

    @property
    def sound(self) -> tuple[Path, ...]:
        """Folders of the bundles that load."""
        return tuple(folder for folder, found in self.bundles if not isinstance(found, str))

    @property
    def served(self) -> tuple[ServerBundle, ...]:
        """The bundles that load."""
        return tuple(found for _, found in self.bundles if not isinstance(found, str))

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """Of the bundles that load."""
        return tuple(circuit for folder in self.sound for circuit in ModelRegistry([folder]).circuits)


Check = Callable[[Patient], Iterator[Finding]]


def examine(settings: Settings) -> list[Finding]:
    """Return what all checks found; none stops another."""
    patient = Patient(settings)
    found: list[Finding] = []
    for check in CHECKS:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            found.extend(check(patient))
        except Exception as error:  # noqa: BLE001 (a check that fails says so, and the others go on)
            found.append(Finding(name, "wrong", f"could not be looked at ({_reason(error)})", "see to that first"))
    return found


def check_bundles(patient: Patient) -> Iterator[Finding]:
    """Whether each bundle is whole, by its digests, and no two are of one model."""
    if not patient.bundles:
        yield Finding("bundles", "wrong", "there is nothing to serve", "name folders that cryptml build wrote")
    names: set[str] = set()
    for folder, found in patient.bundles:
        if isinstance(found, str):
            yield Finding("bundles", "wrong", f"{folder}: {found}", "build it again, or copy it again")
        elif found.model in names:
            yield Finding(
                "bundles", "wrong", f"{folder}: another bundle holds model {found.model!r}", "serve one of them"
            )
        else:
            names.add(found.model)
            yield Finding("bundles", "ok", f"{found.model} {found.split}, digest {found.digest[:16]}")


def check_data(patient: Patient) -> Iterator[Finding]:
    """Whether the data folder can be written, is private, and has room for the keys that may be stored."""
    folder = patient.settings.data
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"x")
    except OSError as error:
        what = f"{there} cannot be written by this user ({_reason(error)})"
        yield Finding("data", "wrong", what, "give the folder to the service's user")
        return
    if there != folder:
        yield Finding("data", "ok", f"{folder} is made when the service starts")
    elif stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding("data", "warning", f"{folder} can be read by others", f"chmod 700 {folder}")
    else:
        yield Finding("data", "ok", f"{folder} can be written, by its owner alone")
    free, limit = shutil.disk_usage(there).free, patient.settings.stored_key_bytes
    kept = folder / "evaluation-keys"
    used = sum(each.stat().st_size for each in kept.rglob("*") if each.is_file()) if kept.is_dir() else 0
    if free < limit - used:
        yield Finding(
            "disk",
            "warning",
            f"{_size(free)} free, and {_size(limit - used)} more may be stored (stored_key_bytes)",
            "lower stored_key_bytes, or make room",
        )
    else:
        yield Finding("disk", "ok", f"{_size(free)} free for at most {_size(max(0, limit - used))} more")


def check_database(patient: Patient) -> Iterator[Finding]:
    """Whether the database answers, has this version's tables, keeps what is written, and tells the same time."""
    file = patient.settings.database_file
    if file is not None and not file.exists():
        yield Finding("database", "ok", f"{file} is made when the service starts")
        return
    database = Database(patient.settings.database_url)
    try:
        yield from _look_into(database)
    except DatabaseUnavailable as error:
        yield Finding("database", "wrong", f"it does not answer ({error})", "check its address, and that it runs")
    finally:
        database.close()


def _look_into(database: Database) -> Iterator[Finding]:
    try:
        database.require_current()
    except CryptmlError as error:
        if database.is_embedded:
            yield Finding("database", "warning", str(error), "nothing, if it is of an older version: serve upgrades it")
        else:
            yield Finding("database", "wrong", str(error), "stop the service, run cryptml database upgrade")
        return
    yield Finding("database", "ok", "it answers, and its tables are of this version")
    with database.reading() as connection:
        if database.is_embedded:
            durable = int(connection.execute(text("PRAGMA synchronous")).scalar_one()) >= FULL_SYNC
            now: float | None = None
        else:
            names = ("fsync", "synchronous_commit")
            durable = all(connection.execute(text(f"SHOW {name}")).scalar_one() != "off" for name in names)
            now = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    _try_to_write(database)
    if durable:
        yield Finding("durability", "ok", "it can be written, and commits are on disk before they return")
    else:
        yield Finding(
            "durability",
            "warning",
            "it can be written, but commits may be lost when the machine fails",
            "turn fsync and synchronous_commit on",
        )
    away = 0.0 if now is None else abs(now - time.time())
    if away > CLOCK_SECONDS:
        yield Finding(
            "clock", "warning", f"the database's clock is {away:.0f} s away from this machine's", "synchronise both"
        )
    else:
        yield Finding("clock", "ok", "the database and this machine tell the same time")


def check_object_store(patient: Patient) -> Iterator[Finding]:
    """Whether what several services share can be stored, read and deleted."""
    settings = patient.settings
    if settings.object_store is None:
        alone = "one service alone may use this database: others would not see its keys"
        yield Finding(
            "object store", "ok", f"none; {alone}" if settings.database else "none; keys are in the data folder"
        )
        return
    try:
        ObjectStore(settings.object_store).probe()
    except (OSError, CryptmlError) as error:
        yield Finding(
            "object store", "wrong", f"it cannot be used ({_reason(error)})", "check its address, rights and network"
        )
    else:
        yield Finding("object store", "ok", "a file was stored, read and deleted")


def check_cluster(patient: Patient) -> Iterator[Finding]:
    """Whether the Ray cluster can be joined, where workers are to run on one."""
    settings = patient.settings
    if settings.executor != "ray" or settings.ray_address is None:
        return
    try:
        ray = connect(settings.ray_address)
    except CryptmlError as error:
        yield Finding("cluster", "wrong", _reason(error), "start it, or correct ray_address")
        return
    cores = int(ray.cluster_resources().get("CPU", 0))
    ray.shutdown()
    threads = settings.workers * settings.threads_each
    what = f"{settings.workers} workers of {settings.threads_each} threads on the cluster's {cores} CPUs"
    if threads > cores:
        yield Finding("cluster", "wrong", f"{what}: some have no place", "lower workers or threads, or add nodes")
    else:
        yield Finding("cluster", "ok", what)


def check_worker(patient: Patient) -> Iterator[Finding]:
    """Whether a worker process starts and loads each circuit."""
    worker = Supervisor(threads=1, cached_keys=1, deadline_seconds=WORKER_SECONDS)
    try:
        worker.start(())
        worker.ping()
        for circuit in patient.circuits:
            yield _loading(worker, circuit)
        if not patient.circuits:
            yield Finding("worker", "ok", "a worker process starts; there is no circuit to load")
    except Problem as problem:
        yield Finding("worker", "wrong", problem.detail, "check memory and the limit of processes")
    finally:
        worker.stop()


def _loading(worker: Supervisor, circuit: Circuit) -> Finding:
    what = f"segment {circuit.index} of {circuit.model}"
    try:
        worker.start((circuit,))
    except Problem as problem:
        return Finding(
            "worker", "wrong", f"{what} does not load: {problem.detail}", "build the bundle again, on such a machine"
        )
    return Finding("worker", "ok", f"{what} loads")


def check_memory(patient: Patient) -> Iterator[Finding]:
    """Whether the service and what its workers keep fit into memory, by what was measured when the bundles were built."""
    settings = patient.settings
    need = forecast(settings, patient.served)
    keys = f"{need.cached_keys} key sets"
    each = f"{_size(need.worker_bytes)} in each of {settings.workers} workers with {keys}"
    if not need.measured:
        each += " (a lower bound: a bundle was built without measuring)"
    if need.most_bytes is not None and need.worker_bytes > need.most_bytes >= need.least_bytes:
        each += f", of which worker_bytes lets {_size(need.most_bytes)} be: fewer key sets stay"
    if need.most_bytes is not None and need.most_bytes < need.least_bytes:
        yield Finding(
            "memory",
            "wrong",
            f"a worker with one key set takes {_size(need.least_bytes)}, and worker_bytes ends it at {_size(need.most_bytes)}",
            "raise worker_bytes, or leave it out",
        )
    if settings.executor == "ray":
        yield Finding(
            "memory", "ok", f"{each}, on the cluster's machines; {_size(need.web_bytes)} for the service here"
        )
        return
    total = _memory_bytes()
    what = f"{each}, and {_size(need.web_bytes)} for the service: {_size(need.total_bytes)} of {_size(total)}"
    lower = "lower workers or cached_keys"
    if need.total_bytes > total:
        yield Finding("memory", "wrong", what, lower)
    elif need.total_bytes > MEMORY_SHARE * total:
        yield Finding("memory", "warning", what, lower)
    elif not need.measured:
        yield Finding("memory", "warning", what, "build the bundles again with cryptml build, which measures")
    else:
        yield Finding("memory", "ok", what)


def check_open_files(patient: Patient) -> Iterator[Finding]:
    """Whether the system lets the service hold its connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = patient.settings.connections + 2 * patient.settings.workers + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < need:
        yield Finding(
            "open files",
            "wrong",
            f"{soft} are allowed, and {patient.settings.connections} connections take {need}",
            "raise LimitNOFILE or ulimit -n, or lower connections",
        )
    else:
        yield Finding("open files", "ok", f"{need} are needed and allowed")


def check_cores(patient: Patient) -> Iterator[Finding]:
    """Whether there are as many cores of this machine as workers have threads."""
    if patient.settings.executor == "ray":
        return
    cores = len(os.sched_getaffinity(0))
    threads = patient.settings.workers * patient.settings.threads_each
    what = f"{patient.settings.workers} workers of {patient.settings.threads_each} threads on {cores} cores"
    if threads > cores:
        yield Finding("cores", "warning", f"{what}: each evaluation is slower", "lower workers or threads")
    else:
        yield Finding("cores", "ok", what)


def check_tls(patient: Patient) -> Iterator[Finding]:
    """Whether certificate and key belong together and for how long they are valid; whether tokens travel in the clear."""
    settings = patient.settings
    if settings.tls_certificate is None or settings.tls_key is None:
        if is_loopback(settings.host):
            yield Finding("tls", "ok", f"none; {settings.host} is this machine alone")
        else:
            yield Finding(
                "tls",
                "warning",
                f"{settings.host} may be reached by others, and tokens travel in the clear",
                "give tls_certificate and tls_key, or let a proxy with TLS stand before it",
            )
        return
    try:
        tls_context(settings.tls_certificate, settings.tls_key)
    except CryptmlError as error:
        yield Finding("tls", "wrong", str(error), "correct tls_certificate and tls_key")
        return
    ends = x509.load_pem_x509_certificates(settings.tls_certificate.read_bytes())[0].not_valid_after_utc
    days = (ends - datetime.now(timezone.utc)).total_seconds() / 86_400
    what = f"certificate and key belong together; valid until {ends:%Y-%m-%d}"
    if days < 0:
        yield Finding("tls", "wrong", f"the certificate was valid until {ends:%Y-%m-%d}", "renew it")
    elif days < EXPIRY_DAYS:
        yield Finding("tls", "warning", what, "renew it")
    else:
        yield Finding("tls", "ok", what)


def check_port(patient: Patient) -> Iterator[Finding]:
    """Whether the port is free, or this service has it already."""
    settings = patient.settings
    reason = _taken(settings.host, settings.port)
    where = f"{settings.host} port {settings.port}"
    if reason is None:
        yield Finding("port", "ok", f"{where} is free")
    elif settings.port and _is_served(settings):
        yield Finding("port", "ok", f"a service of this kind answers at {where}")
    else:
        yield Finding("port", "wrong", f"{where} cannot be had ({reason})", "choose another port or host")


def check_metrics(patient: Patient) -> Iterator[Finding]:
    """Whether numbers about the service can be had, and by whom."""
    settings = patient.settings
    if settings.metrics_port is None:
        yield Finding("metrics", "ok", "none are offered")
        return
    where = f"{settings.metrics_host} port {settings.metrics_port}"
    if settings.metrics_port == settings.port and settings.metrics_host == settings.host:
        yield Finding("metrics", "wrong", f"{where} is the service's own", "choose another metrics_port")
    elif _taken(settings.metrics_host, settings.metrics_port) and not _is_served(settings):
        yield Finding("metrics", "wrong", f"{where} cannot be had", "choose another metrics_port")
    elif is_loopback(settings.metrics_host):
        yield Finding("metrics", "ok", f"at {where}, for this machine alone")
    else:
        yield Finding(
            "metrics",
            "warning",
            f"{where} may be reached by others, and asks for no token",
            "let metrics_host be 127.0.0.1, or an address that only Prometheus reaches",
        )


CHECKS: tuple[Check, ...] = (
    check_bundles,
    check_data,
    check_database,
    check_object_store,
    check_cluster,
    check_worker,
    check_memory,
    check_open_files,
    check_cores,
    check_tls,
    check_port,
    check_metrics,
)


def _loaded(folder: Path) -> ServerBundle | str:
    try:
        return ServerBundle.load(folder)
    except (CryptmlError, OSError) as error:
        return _reason(error)


class _Undo(Exception):
    """Nothing of the transaction is to stay."""


def _try_to_write(database: Database) -> None:
    """Insert a row and take it back.

    Raises:
        DatabaseUnavailable: If the database cannot be written.
    """
    quotas = dict.fromkeys(("key_bytes", "keys", "concurrent_evaluations", "daily_evaluations"), 1)
    with _undone(), database.writing() as connection:
        connection.execute(insert(tenants).values(id=".doctor", name=".doctor", created=time.time(), **quotas))
        raise _Undo


@contextmanager
def _undone() -> Iterator[None]:
    try:
        yield
    except _Undo:
        return


def _taken(host: str, port: int) -> str | None:
    """Return why an address cannot be listened on; None where it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or "not a name of a host"
    return None


def _is_served(settings: Settings) -> bool:
    """Return whether a service of this kind answers at the settings' address, whatever its certificate."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 (compared, not listened on)
    try:
        with closing(_connection(host, settings)) as connection:
            connection.request("GET", "/v1/health/live")
            return connection.getresponse().read(1000) == b'{"status":"live"}'
    except (OSError, http.client.HTTPException):
        return False


def _connection(host: str, settings: Settings) -> http.client.HTTPConnection:
    if settings.tls_certificate is None:
        return http.client.HTTPConnection(host, settings.port, timeout=PROBE_SECONDS)
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, settings.port, timeout=PROBE_SECONDS, context=anybody)


def _memory_bytes() -> int:
    """Return the machine's memory, or this service's share of it where it has a limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = CGROUP.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, CryptmlError) else type(error).__name__
