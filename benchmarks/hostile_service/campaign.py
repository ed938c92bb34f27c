"""Thousands of runs of the client, each meeting one attack, and what became of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import numpy as np
from cryptml_client import KeyStore

from benchmarks.hostile_service.asking import Outcome, Watched
from benchmarks.hostile_service.kinds import BEGINNING, FOREIGN, WHOLE, kinds
from benchmarks.hostile_service.limits import (
    KILL_SECONDS,
    MARGIN_BYTES,
    MARGIN_SECONDS,
    MORE_FILES,
    MOST_REQUESTS,
    MOST_TEXT,
    PATIENCE_SECONDS,
    TIMEOUT_SECONDS,
)
from benchmarks.hostile_service.plays import Play
from benchmarks.hostile_service.result import Fault, Result, Row
from benchmarks.hostile_service.secrecy import Watch
from benchmarks.hostile_service.stage import Attack, Log, Stage
from benchmarks.hostile_service.wire.steps import JOB_STEPS
from cryptml.bundle import ClientBundle


class Campaign:
    """Runs clients against stages.

    Args:
        plays: Recorded services.
        keys: The client's folder.
        work: Empty, for logs.
        processes: Clients at once.
        seed: Of all attacks.
    """

    def __init__(self, plays: dict[str, Play], keys: Path, work: Path, *, processes: int, seed: int) -> None:
        self.plays = plays
        self._seed = seed
        self._watch = Watch(plays, KeyStore(keys))
        self._lock = threading.Lock()
        self._elsewhere = Stage()
        self._kinds = kinds(plays, self._elsewhere.url)
        self.result = Result(patterns=len(self._watch.patterns))
        region = work / "region.npy"
        np.save(region, next(iter(plays.values())).region)
        self._free: Queue[tuple[Watched, Stage]] = Queue()
        self._all = [(Watched(keys, region, work / f"client-{number}.log"), Stage()) for number in range(processes)]
        self._sequences: dict[tuple[str, bool], list[tuple[str, str, int]]] = {}
        self._files = 0

    def run(self, answers: int, told: Callable[[int], None] | None = None, only: str | None = None) -> Result:
        """Let the clients ask so often, and return what became of it."""
        plan = list(self._plan(answers, only))
        nothing = Attack("nothing")
        self._elsewhere.begin(next(iter(self.plays.values())), nothing, random.Random(0))
        try:
            with ThreadPoolExecutor(len(self._all)) as threads:
                list(threads.map(lambda each: each[0].start(), self._all))
                list(threads.map(self._honest, self._all))
                for pair in self._all:
                    self._free.put(pair)
                for number, _ in enumerate(threads.map(self._one, plan)):
                    if told is not None:
                        told(number + 1)
        finally:
            for client, stage in self._all:
                client.stop()
                stage.close()
            self.result.elsewhere = len(self._elsewhere.log.raw)
            self._elsewhere.close()
        self.result.noise = self._watch.noise()
        self.result.ciphertexts, self.result.bytes = self._watch.ciphertexts, self._watch.bytes
        return self.result

    def _plan(self, answers: int, only: str | None) -> Iterable[tuple[str, int]]:
        chosen = {name: share for name, (_, share) in self._kinds.items() if only is None or only in name}
        total = sum(chosen.values())
        counts = {name: max(1, answers * share // total) for name, share in chosen.items()}
        largest = max(counts, key=lambda name: counts[name])
        counts[largest] += max(0, answers - sum(counts.values()))
        plan = [(name, number) for name, count in counts.items() for number in range(count)]
        random.Random(self._seed).shuffle(plan)
        return plan

    def _honest(self, pair: tuple[Watched, Stage]) -> None:
        """Ask honest services first, in every way: the peak, and the requests that are to be the same whatever is decrypted."""
        client, stage = pair
        for play in self.plays.values():
            for fresh, background in (
                (True, False),
                (True, True),
                (False, False),
                (False, True),
                (False, False),
                (False, True),
            ):
                outcome, log = self._ask(
                    client, stage, play, Attack("nothing"), fresh=fresh, background=background, rng=random.Random(1)
                )
                if outcome.said.get("integers") != play.integers or outcome.printed:
                    raise AssertionError(f"an honest service is not answered rightly: {outcome}")
                with self._lock:
                    self.result.honest_peak = max(self.result.honest_peak, outcome.said["peak"])
                    self._files = max(self._files, outcome.said["files"])
                    if not fresh:
                        self._sequences[play.split, background] = _sequence(log)

    def _ask(
        self,
        client: Watched,
        stage: Stage,
        play: Play,
        attack: Attack,
        *,
        fresh: bool,
        background: bool,
        rng: random.Random,
    ) -> tuple[Outcome, Log]:
        stage.begin(play, attack, rng)
        order = {
            "url": stage.url,
            "play": play.split,
            "named": "models" not in attack.steps,
            "fresh": fresh,
            "picture": fresh and rng.random() < 0.5,
            "background": background,
            "keep_keys": attack.way == WHOLE,
            "timeout_seconds": TIMEOUT_SECONDS,
            "patience_seconds": PATIENCE_SECONDS,
        }
        outcome = client.ask(order, KILL_SECONDS)
        return outcome, stage.finish()

    def _one(self, planned: tuple[str, int]) -> None:
        kind, number = planned
        client, stage = self._free.get()
        try:
            self._run(kind, number, client, stage)
        finally:
            self._free.put((client, stage))

    def _run(self, kind: str, number: int, client: Watched, stage: Stage) -> None:
        rng = random.Random(f"{self._seed} {kind} {number}")
        names = [*self.plays]
        weights = [4 if name == "SCSCS" else 1 for name in names]
        play = self.plays[rng.choices(names, weights)[0]]
        attack = self._kinds[kind][0](play, rng)
        background = bool(attack.steps & set(JOB_STEPS)) or (rng.random() < 0.2 and "evaluation" not in attack.steps)
        if "result" in attack.steps and "evaluation" in attack.steps:
            background = rng.random() < 0.3
        fresh = kind in FOREIGN or bool(attack.steps & BEGINNING) or rng.random() < 0.05
        generation = client.generation
        outcome, log = self._ask(client, stage, play, attack, fresh=fresh, background=background, rng=rng)
        run = (
            f"{kind} {number}: {play.split} {'fresh' if fresh else 'warm'}{' jobs' if background else ''}; {attack.way}"
        )
        with self._lock:
            self._judge(kind, run, play, attack, outcome, log)
            if attack.well_formed and not fresh and client.generation == generation and "crash" not in outcome.said:
                expected, found = self._sequences[play.split, background], _sequence(log)
                late = outcome.said.get("error") == "ServiceTimeout" and found == expected[: len(found)]
                if (
                    found != expected and not late
                ):  # a machine that others use too may be too slow for so short a deadline
                    self._fault(
                        kind,
                        run,
                        "other requests than after an honest answer",
                        f"{found} instead of {expected}: {outcome.said}",
                    )

    def _judge(self, kind: str, run: str, play: Play, attack: Attack, outcome: Outcome, log: Log) -> None:
        row = self.result.rows.setdefault(kind, Row())
        said = outcome.said
        row.answers += 1
        row.slowest = max(row.slowest, _held(outcome))
        row.peak = max(row.peak, said.get("peak", 0))
        if outcome.hung or self._is_held(outcome, log):
            row.hangs += 1
            self._fault(
                kind, run, f"held for {outcome.seconds:.1f} s with {len(log.requests)} requests", str(said)[:300]
            )
        if outcome.ended or "crash" in said:
            row.crashes += 1
            self._fault(kind, run, f"crashed: {outcome.ended or said['crash']}", said.get("trace", outcome.printed))
        elif outcome.printed:
            row.crashes += 1
            self._fault(kind, run, "printed", outcome.printed)
        if "integers" in said:
            right = said["integers"] == play.integers
            row.right += right
            row.other += not right
        elif "text" in said:
            row.refused += 1
            self.result.errors[said["error"]] += 1
            wrong = _wrong_sentence(said["text"])
            if wrong:
                self._fault(kind, run, f"an error's text {wrong}", repr(said["text"])[:600])
        if said.get("label", "x").isprintable() is False:
            self._fault(kind, run, "a label that cannot be shown", repr(said["label"]))
        if said.get("peak", 0) > self.result.honest_peak + MARGIN_BYTES:
            self._fault(
                kind,
                run,
                f"{said['peak'] >> 20} MiB at most, {self.result.honest_peak >> 20} in honest runs",
                str(said)[:300],
            )
        if said.get("files", 0) > self._files + MORE_FILES:
            self._fault(kind, run, f"{said['files']} open files, {self._files} in honest runs")
        for leak in self._watch.look(play, log, foreign=kind in FOREIGN):
            self._fault(kind, run, leak)
        if attack.way == WHOLE and attack.play is not None:
            asked = [request for request in log.requests if request.step in ("evaluation", "submit")]
            if not asked:
                self._fault(kind, run, "inputs that are not seeded were not taken", str(said)[:300])
            bundle = ClientBundle.parse(attack.play.manifest, attack.play.files)
            for request in asked:
                for wrong in self._watch.look_behind_the_mask(bundle.server_steps[request.segment].circuit, request):
                    self._fault(kind, run, wrong)

    def _is_held(self, outcome: Outcome, log: Log) -> bool:
        """Whether a client was kept for longer than its deadlines together, or had to ask without an end."""
        asked = max(1, len(log.requests))
        return asked > MOST_REQUESTS or _held(outcome) > (TIMEOUT_SECONDS + PATIENCE_SECONDS) * asked + MARGIN_SECONDS

    def _fault(self, kind: str, run: str, what: str, detail: str = "") -> None:
        self.result.faults.append(Fault(kind, run, what, detail))


def _held(outcome: Outcome) -> float:
    """Return for how many seconds a client was held, without what it waited for a core of the machine, or made keys."""
    return outcome.seconds - float(outcome.said.get("starved", 0.0)) - float(outcome.said.get("making", 0.0))


def _sequence(log: Log) -> list[tuple[str, str, int]]:
    """Return what was asked: method, path and the body's length of each request."""
    return [(request.method, request.path, len(request.body)) for request in log.requests]


def _wrong_sentence(text: str) -> str | None:
    if not text:
        return "is empty"
    if not text.isprintable():
        return "is not printable, or has lines"
    if len(text) > MOST_TEXT:
        return f"has {len(text)} characters"
    return None
