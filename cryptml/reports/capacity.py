"""A capacity plan as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from cryptml.errors import counted
from cryptml.reports.table import bytes_text, plain_table


def capacity_table(plan: Mapping[str, Any]) -> Table:
    """Return what each demand needs, of a plan's JSON values."""
    columns = [
        ("clinics", "right"),
        ("pictures/s", "right"),
        ("machines", "right"),
        ("cores", "right"),
        ("p50", "right"),
        ("p95", "right"),
        ("p99", "right"),
        ("busy", "right"),
        ("keys on disk", "right"),
        ("in", "right"),
        ("out", "right"),
    ]
    rows = [
        (
            f"{each['clinics']:,}",
            f"{each['pictures_a_second']:.3g}",
            f"{each['machines']:,}",
            f"{each['cores']:,}",
            *(f"{each['seconds'][name]:.2f} s" for name in ("p50", "p95", "p99")),
            f"{each['busy']:.0%}",
            bytes_text(each["key_disk_bytes"]),
            _rate(each["up_mbps"]),
            _rate(each["down_mbps"]),
        )
        for each in plan["plans"]
    ]
    first = plan["plans"][0]
    asked = f"{first['pictures_a_day']:g} pictures a clinic and day, 95 of 100 within {first['p95_seconds_asked']:g} s"
    return plain_table(f"Split {plan['split']}, {asked}", columns, rows)


def capacity_words(plan: Mapping[str, Any]) -> Iterator[str]:
    """Return what the table rests on, and the settings of each machine."""
    first = plan["plans"][0]
    alone = f"an answer alone takes {plan['alone_seconds']:.2f} s"
    yield f"busiest hour: {first['peak']:g} times the mean of {first['hours']:g} hours a day; {alone}"
    workers = f"{counted(plan['workers_a_machine'], 'worker')} of {counted(plan['threads_a_worker'], 'thread')}"
    cores, memory = counted(plan["cores_a_machine"], "core"), bytes_text(first["memory_a_machine_bytes"])
    yield (
        f"each machine as the profiled one: {cores}, {workers} with {plan['cached_keys']} key sets each, {memory} of memory for workers; "
        "several machines behind one queue, as executor ray has it"
    )
    waiting = max(each["most_waiting"] for each in plan["plans"])
    yield (
        f"settings: CRYPTML_WORKERS={plan['workers_a_machine']} (times the machines, with ray) CRYPTML_THREADS={plan['threads_a_worker']} "
        f"CRYPTML_CACHED_KEYS={plan['cached_keys']} CRYPTML_WAITING_REQUESTS={max(16, 2 * waiting)}"
    )


def _rate(megabits: float) -> str:
    return f"{megabits:.3g} Mbit/s"
