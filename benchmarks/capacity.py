"""The answers of a real service with two workers beside those that a capacity plan's simulation foretells, for the same arrivals.

python -m benchmarks.capacity PROFILE [--network scatter] [--answers 150]

Clinics ask at random times, each with keys of its own; ciphertexts are made before, so that only the service works. The simulation is
fed by a profile of this machine (split-profiler run).
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.deployment import Deployment, Tenant
from benchmarks.machine import heading
from cryptml.errors import CryptmlError
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.report import load_report
from cryptml.verification.capacity.simulation import Arrivals, Load, simulate
from cryptml.verification.capacity.work import SERVICE_MS, Work, work_of

WORKERS = 2
CACHED = 4
SCENES = "0.3:2,0.6:2,0.8:2,0.25:12"
"""Share of what two workers can do with keys at hand, and clinics: as many as workers remember, or more."""


def service_alone(work: Work) -> Work:
    """Return the same work without client and wire, which the load that is made here does not have."""
    requests = tuple(replace(each, before_ms=SERVICE_MS / 2, after_ms=SERVICE_MS / 2) for each in work.requests)
    return replace(work, requests=requests, client_ms=0.0)


def ask_at(tenants: list[Tenant], arrivals: Arrivals) -> NDArray[np.float64]:
    """Ask at these times, and return the seconds of each answer."""
    found = np.zeros(len(arrivals.at))
    errors: list[Exception] = []
    began = time.monotonic() + 0.5

    def ask(place: int) -> None:
        time.sleep(max(0.0, began + arrivals.at[place] - time.monotonic()))
        try:
            found[place] = tenants[arrivals.clinic[place]].ask()[0] / 1000
        except Exception as error:  # noqa: BLE001 (whatever it is ends the benchmark)
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    for tenant in tenants:
        tenant.check()
    return found


def row(share: float, clinics: int, real: NDArray[np.float64], foretold: Load) -> str:
    """Return a table's row; the first fifth of the answers is left out of both."""
    counted = real[len(real) - len(foretold.seconds) :]
    cells = [f"{share:.0%}", str(clinics), str(len(counted))]
    for of in (0.5, 0.95):
        measured, said = float(np.quantile(counted, of)), foretold.quantile(of)
        cells.append(f"{measured:.2f} / {said:.2f} s ({said / measured - 1:+.0%})")
    mean = float(counted.mean())
    cells.append(f"{mean:.2f} / {foretold.seconds.mean():.2f} s ({foretold.seconds.mean() / mean - 1:+.0%})")
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--network", default="scatter")
    parser.add_argument("--answers", type=int, default=150)
    parser.add_argument("--scenes", default=SCENES, help="share of what two workers can do, and clinics")
    arguments = parser.parse_args()
    out = sys.stdout
    with tempfile.TemporaryDirectory(prefix="cryptml-bench-") as folder:
        document = load_report(arguments.report)
        letters = "S" * len(document["network"]["layers"])
        work = service_alone(work_of(document, letters, Link(1e6, 0.0)))
        if work.division.workers != WORKERS:
            raise CryptmlError(f"the profile answers most with {work.division}; this benchmark is of {WORKERS} workers")
        evaluate = statistics.mean(work.requests[0].evaluate_ms)
        out.write(
            f"{heading()}; {arguments.network} {letters}, {WORKERS} workers of {work.division.threads} thread with {CACHED} key sets, an "
            f"evaluation {evaluate:.0f} ms in the profile; measured / foretold\n\n"
            "| busy | clinics | answers | median | 95 of 100 | mean |\n|---:|---:|---:|---:|---:|---:|\n"
        )
        work_folder = Path(folder) / "work"
        work_folder.mkdir()
        deployment = Deployment(arguments.network, letters, work_folder)
        scenes = [
            (float(share), int(clinics))
            for share, _, clinics in (each.partition(":") for each in arguments.scenes.split(","))
        ]
        for number, (share, clinics) in enumerate(scenes):
            with ExitStack() as stack:
                more = {"CRYPTML_CACHED_KEYS": str(CACHED)}
                _, tenants = deployment.service(stack, WORKERS, work.division.threads, clinics, more)
                for each in tenants * math.ceil(2 * WORKERS / clinics):
                    each.ask()
                arrivals = Arrivals.poisson(share * WORKERS * 1000 / evaluate, arguments.answers, clinics, number)
                real = ask_at(tenants, arrivals)
            foretold = simulate(work, arrivals, WORKERS, CACHED, number)
            out.write(row(share, clinics, real, foretold) + "\n")
            out.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
