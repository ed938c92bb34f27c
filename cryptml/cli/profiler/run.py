"""``split-profiler run``: measure every segment, compose every split, write the report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cryptml.cli.console import err, out, print_json, say
from cryptml.errors import SettingError
from cryptml.networks import load_network
from cryptml.reports.profile import summary_table
from cryptml.splits import Segment


def run_command(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    out_file: Annotated[Path, typer.Option("--out", help="The report, JSON.")],
    repeats: Annotated[
        int, typer.Option(min=1, max=100, help="Samples of each stage but making keys, after a first one.")
    ] = 3,
    segment_timeout: Annotated[float, typer.Option(help="Seconds for compiling, and for measuring, a segment.")] = 1800,
    segment_memory_mb: Annotated[
        float | None, typer.Option(help="Of each measuring process; no limit if not given.")
    ] = None,
    estimate_above: Annotated[
        float | None,
        typer.Option(
            help="Seconds; segments with a longer expected evaluation are estimated from one like them. Measure all if not given."
        ),
    ] = None,
    max_failure: Annotated[
        float | None,
        typer.Option(
            help="Probability, at most, that a whole answer holds a wrong table lookup, with any split; 2^-30 if not given. "
            "Where 2^-40 for one lookup does not keep it, a smaller one is taken."
        ),
    ] = None,
    p_error: Annotated[
        float | None, typer.Option(help="Probability that one table lookup fails, instead of the bound's.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="Of the server; all cores if not given.")] = None,
    trials: Annotated[
        bool,
        typer.Option(
            "--trials/--no-trials",
            help="Try other engine settings and divisions of threads, which takes as long again or twice that.",
        ),
    ] = True,
    bandwidth_mbps: Annotated[float, typer.Option(help="Of the wire that the report is composed for.")] = 100.0,
    rtt_ms: Annotated[float, typer.Option(help="Its round-trip time.")] = 20.0,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of a Ray cluster's head, or auto: its machines, which must be alike, measure a segment at a time each."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was interrupted.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure every segment once, each in processes of its own, and compose every split from them.

    What is finished lies beside the report until it is written, so that --resume loses at most the segment in progress.
    """
    from cryptml.fhe.settings import DEFAULT_MAX_FAILURE, EngineSettings, p_error_within
    from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
    from cryptml.profiler.measure.measurement import Limits
    from cryptml.profiler.plan.composition import Link
    from cryptml.profiler.plan.report import save_report
    from cryptml.profiler.profiling import Settings, profile_network

    problems = [
        f"{name} is {value}, {bound}"
        for name, value, fits, bound in (
            ("--p-error", p_error, p_error is None or 0 < p_error < 1, "it lies between 0 and 1"),
            ("--max-failure", max_failure, max_failure is None or 0 < max_failure < 1, "it lies between 0 and 1"),
            ("--segment-timeout", segment_timeout, 0 < segment_timeout <= 1e6, "it lies between 0 and 1000000"),
            (
                "--segment-memory-mb",
                segment_memory_mb,
                segment_memory_mb is None or 1 <= segment_memory_mb <= 1e8,
                "it is 1 or more",
            ),
            ("--estimate-above", estimate_above or 0, 0 <= (estimate_above or 0) <= 1e6, "it is 0 or more"),
            ("--bandwidth-mbps", bandwidth_mbps, 0.001 <= bandwidth_mbps <= 1e6, "it lies between 0.001 and 1000000"),
            ("--rtt-ms", rtt_ms, 0 <= rtt_ms <= 1e6, "it lies between 0 and 1000000"),
        )
        if not fits
    ]
    if problems:
        raise SettingError("; ".join(problems))
    if p_error is not None and max_failure is not None:
        raise SettingError("--p-error and --max-failure both say how often a lookup may fail; give one of them")
    if out_file.exists() and not force:
        raise SettingError(f"{out_file} exists; choose another file or pass --force to replace it")
    trained = load_network(network)
    bound, lookups = max_failure or DEFAULT_MAX_FAILURE, trained.bootstraps(Segment(0, len(trained)))
    settings = Settings(
        engine=EngineSettings(p_error or min(DEFAULT_P_ERROR, p_error_within(bound, lookups))),
        max_failure=None if p_error else bound,
        trials=trials,
        limits=Limits(
            repeats=repeats,
            threads=threads or os.cpu_count() or 1,
            timeout_seconds=segment_timeout,
            memory_bytes=None if segment_memory_mb is None else round(segment_memory_mb * 1e6),
        ),
        estimate_above_s=estimate_above,
        link=Link(bandwidth_mbps, rtt_ms),
        ray_address=ray_address,
    )
    out_file.parent.mkdir(parents=True, exist_ok=True)
    journal_path = out_file.with_name(f"{out_file.name}.unfinished")
    with _Shown() as progress:
        document, journal = profile_network(network, trained, settings, journal_path, progress, resume=resume)
    save_report(out_file, document)
    journal.remove()
    if json:
        print_json({"report": str(out_file), "elapsed": document["elapsed"], "fit": document["fit"]})
        return
    out.print(summary_table(document))
    say(f"report written to {out_file}; split-profiler show {out_file} lists its splits")


def _rough(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class _Shown:
    """Segments done, elapsed and remaining on stderr; a line a change where nobody watches live."""

    def __init__(self) -> None:
        columns = (
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}", markup=False),
        )
        self._progress = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
        self._task = self._progress.add_task("starting", total=None, left="")
        self._last = ""

    def __enter__(self) -> _Shown:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, *, done: int, total: int, what: str, remaining_s: float | None) -> None:
        """See `cryptml.profiler.profiling.Progress.update`."""
        left = "" if remaining_s is None else f"about {_rough(remaining_s)} left"
        self._progress.update(self._task, completed=done, total=total, description=what, left=left)
        if not err.is_terminal and what != self._last:
            self._last = what
            err.print(f"[{done + 1}/{total}] {what}{', ' + left if left else ''} ...", style="dim", markup=False)
