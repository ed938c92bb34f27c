"""Whether workers start, and fit into the machine or the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cryptml.cluster import connect
from cryptml.errors import CryptmlError, counted
from cryptml_server.base.errors import ServerError
from cryptml_server.base.models import Circuit
from cryptml_server.operations.doctor.deployment import Deployment, Finding, reason_of, size_words
from cryptml_server.operations.memory_forecast import forecast
from cryptml_server.workers.local import Supervisor

WORKER_SECONDS = 120.0


MEMORY_SHARE = 0.8


CGROUP = Path("/sys/fs/cgroup/memory.max")


def check_cluster(deployment: Deployment) -> Iterator[Finding]:
    """Whether the Ray cluster can be joined, where workers are to run on one."""
    settings = deployment.settings
    if settings.executor != "ray" or settings.ray_address is None:
        return
    try:
        ray = connect(settings.ray_address)
    except CryptmlError as error:
        yield Finding("cluster", "wrong", reason_of(error), "start it, or correct ray_address")
        return
    cores = int(ray.cluster_resources().get("CPU", 0))
    ray.shutdown()
    threads = settings.workers * settings.threads_each
    what = f"{counted(settings.workers, 'worker')} of {counted(settings.threads_each, 'thread')} on the cluster's {counted(cores, 'CPU')}"
    if threads > cores:
        yield Finding("cluster", "wrong", f"{what}: some have no place", "lower workers or threads, or add nodes")
    else:
        yield Finding("cluster", "ok", what)


def check_worker(deployment: Deployment) -> Iterator[Finding]:
    """Whether a worker process starts and loads each circuit."""
    worker = Supervisor(threads=1, cached_keys=1, deadline_seconds=WORKER_SECONDS)
    try:
        worker.start(())
        worker.ping()
        for circuit in deployment.circuits:
            yield _loading(worker, circuit)
        if not deployment.circuits:
            yield Finding("worker", "ok", "a worker process starts; there is no circuit to load")
    except ServerError as problem:
        yield Finding("worker", "wrong", problem.detail, "check memory and the limit of processes")
    finally:
        worker.stop()


def _loading(worker: Supervisor, circuit: Circuit) -> Finding:
    what = f"segment {circuit.index} of {circuit.model}"
    try:
        worker.start((circuit,))
    except ServerError as problem:
        return Finding(
            "worker", "wrong", f"{what} does not load: {problem.detail}", "build the bundle again, on such a machine"
        )
    return Finding("worker", "ok", f"{what} loads")


def check_memory(deployment: Deployment) -> Iterator[Finding]:
    """Whether the service and what its workers keep fit into memory, by what was measured when the bundles were built."""
    settings = deployment.settings
    need = forecast(settings, deployment.served)
    keys = f"{counted(need.cached_keys, 'key set')}"
    each = f"{size_words(need.worker_bytes)} in each of {counted(settings.workers, 'worker')} with {keys}"
    if not need.measured:
        each += " (a lower bound: a bundle was built without measuring)"
    if need.most_bytes is not None and need.worker_bytes > need.most_bytes >= need.least_bytes:
        each += f", of which worker_bytes lets {size_words(need.most_bytes)} be: fewer key sets stay"
    if need.most_bytes is not None and need.most_bytes < need.least_bytes:
        yield Finding(
            "memory",
            "wrong",
            f"a worker with one key set takes {size_words(need.least_bytes)}, and worker_bytes ends it at {size_words(need.most_bytes)}",
            "raise worker_bytes, or leave it out",
        )
    if settings.executor == "ray":
        yield Finding(
            "memory", "ok", f"{each}, on the cluster's machines; {size_words(need.web_bytes)} for the service here"
        )
        return
    total = _memory_bytes()
    what = f"{each}, and {size_words(need.web_bytes)} for the service: {size_words(need.total_bytes)} of {size_words(total)}"
    lower = "lower workers or cached_keys"
    if need.total_bytes > total:
        yield Finding("memory", "wrong", what, lower)
    elif need.total_bytes > MEMORY_SHARE * total:
        yield Finding("memory", "warning", what, lower)
    elif not need.measured:
        yield Finding("memory", "warning", what, "build the bundles again with cryptml build, which measures")
    else:
        yield Finding("memory", "ok", what)


def check_cores(deployment: Deployment) -> Iterator[Finding]:
    """Whether there are as many cores of this machine as workers have threads."""
    if deployment.settings.executor == "ray":
        return
    cores, settings = len(os.sched_getaffinity(0)), deployment.settings
    threads = settings.workers * settings.threads_each
    workers = f"{counted(settings.workers, 'worker')} of {counted(settings.threads_each, 'thread')}"
    what = f"{workers} on {counted(cores, 'core')}"
    if threads > cores:
        yield Finding("cores", "warning", f"{what}: each evaluation is slower", "lower workers or threads")
    else:
        yield Finding("cores", "ok", what)


def _memory_bytes() -> int:
    """Return the machine's memory, or this service's share of it where it has a limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = CGROUP.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total
