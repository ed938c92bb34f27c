"""Choosing a split under constraints, against an independent filter."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cryptml import building
from cryptml.building import AUTOMATIC, BuildRequest
from cryptml.cli.console import ConsoleListener
from cryptml.cli.split_profiler import app
from cryptml.errors import ReportError
from cryptml.profiler.plan.choice import ANY, Constraints, choosable, choose
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.ranking import list_composed
from cryptml.profiler.plan.report import network_digest, save_report
from cryptml.splits import Split
from tests.profiler.profile_samples import failure, sample_report

runner = CliRunner()
LINK = Link(100.0, 20.0)
SAMPLES = [sample_report(5, seed=seed) for seed in range(3)]
ENTRIES = [list_composed(document, LINK) for document in SAMPLES]
NAMES = ("max-latency-ms", "max-client-memory-mb", "max-server-memory-mb", "max-bytes", "max-round-trips")


def figures(entry: dict[str, Any]) -> dict[str, float]:
    """Return what each bound is of."""
    values = (
        entry["latency_ms"],
        entry["client_peak_bytes"] / 10**6,
        entry["server_peak_bytes"] / 10**6,
        entry["upload_bytes"] + entry["download_bytes"],
        entry["round_trips"],
    )
    return dict(zip(NAMES, values, strict=True))


def is_lost(document: dict[str, Any], letters: str, layer: int, queries: int) -> bool:
    """Return whether the client holds a layer, or recovers the server segment around it."""
    if letters[layer] == "C":
        return True
    start = stop = layer
    while start and letters[start - 1] == "S":
        start -= 1
    while stop < len(letters) and letters[stop] == "S":
        stop += 1
    [found] = [
        each["exposure"]["queries"] for each in document["segments"] if (each["start"], each["stop"]) == (start, stop)
    ]
    return found is not None and found <= queries


def broken(
    document: dict[str, Any], entry: dict[str, Any], bounds: dict[str, float], secret: tuple[str, ...], queries: int
) -> set[str]:
    if entry["origin"] == "infeasible":
        return {"feasible"}
    found = {name for name, bound in bounds.items() if figures(entry)[name] > bound}
    names = [layer["name"] for layer in document["network"]["layers"]]
    if any(is_lost(document, entry["split"], names.index(name), queries) for name in secret):
        found.add("keep-secret")
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, dict[str, float], tuple[str, ...], int]:
    index = draw(st.integers(0, len(SAMPLES) - 1))
    feasible = [figures(entry) for entry in ENTRIES[index] if entry["origin"] != "infeasible"]
    bounds = {}
    for name in NAMES:
        if draw(st.booleans()):
            bounds[name] = draw(st.sampled_from(sorted(each[name] for each in feasible))) * draw(
                st.sampled_from([0, 0.5, 1, 1, 1.2])
            )
    names = [layer["name"] for layer in SAMPLES[index]["network"]["layers"]]
    secret = tuple(draw(st.lists(st.sampled_from(names), max_size=2, unique=True)))
    return index, bounds, secret, draw(st.integers(1, 320))


@settings(max_examples=200, deadline=None)
@given(cases())
def test_nothing_that_fits_is_faster(case: tuple[int, dict[str, float], tuple[str, ...], int]) -> None:
    index, bounds, secret, queries = case
    document, entries = SAMPLES[index], ENTRIES[index]
    bounded: dict[str, Any] = {name.replace("-", "_"): bound for name, bound in bounds.items()}
    constraints = Constraints(**bounded, keep_secret=secret, queries=queries)
    choice = choose(document, entries, constraints)
    found = [broken(document, entry, bounds, secret, queries) for entry in entries]
    fitting = [entry for entry, each in zip(entries, found, strict=True) if not each]
    assert (choice.fitting, choice.total) == (len(fitting), 32)
    assert set(choice.excluded) == {*bounds, "feasible", *(["keep-secret"] if secret else [])}
    for name, count in choice.excluded.items():
        assert count == sum(name in each for each in found)
    assert json.loads(json.dumps(choice.to_json()))["fitting"] == len(fitting)
    if fitting:
        assert choice.split in fitting
        assert choice.split["latency_ms"] == min(entry["latency_ms"] for entry in fitting)
        assert (choice.nearest, choice.excess) == (None, {})
        assert (
            f"{len(fitting)} of 32 splits keep{'s' if len(fitting) == 1 else ''} every constraint; {choice.split['split']} is the fastest"
            in choice.reasons[0]
        )
        return
    assert choice.split is None
    assert choice.nearest is not None
    place = entries.index(dict(choice.nearest))
    assert set(choice.excess) == found[place]
    assert "feasible" not in found[place]
    if "keep-secret" not in found[place] and all(bounds[name] for name in bounds):

        def worst(entry: dict[str, Any]) -> float:
            return max(figures(entry)[name] / bound for name, bound in bounds.items())

        others = [entry for entry, each in zip(entries, found, strict=True) if not each & {"feasible", "keep-secret"}]
        assert worst(dict(choice.nearest)) == min(map(worst, others))


def test_without_bounds_the_fastest_is_chosen_and_ties_give_away_less() -> None:
    fastest = choose(SAMPLES[0], ENTRIES[0], Constraints(expose=(ANY,))).split
    assert fastest is not None
    assert fastest["latency_ms"] == min(entry["latency_ms"] for entry in ENTRIES[0] if entry["latency_ms"] is not None)
    tied = [{**entry, "latency_ms": 1.0} for entry in ENTRIES[0] if entry["origin"] != "infeasible"]
    chosen = choose(SAMPLES[0], tied, Constraints()).split
    assert chosen is not None
    given_away = [
        entry["exposure"]["client_parameters"] + entry["exposure"]["recoverable_parameters"] for entry in tied
    ]
    exposure = chosen["exposure"]
    assert exposure["client_parameters"] + exposure["recoverable_parameters"] == min(given_away)


def test_a_layer_stays_secret_below_the_number_of_queries_that_recovers_it() -> None:
    document, entries = SAMPLES[0], ENTRIES[0]
    alone = next(entry for entry in entries if entry["split"] == "CCSCC")  # conv2 by itself: linear
    needed = alone["exposure"]["queries"]
    assert needed is not None
    for queries, kept in ((needed - 1, True), (needed, False), (needed + 1, False)):
        choice = choose(document, [alone], Constraints(keep_secret=("conv2",), queries=queries))
        assert (choice.split is alone) is kept
        if not kept:
            assert choice.excess == {"keep-secret": f"conv2 ({needed:,} queries recover segment 2-3)"}
            assert choice.excluded == {"keep-secret": 1, "feasible": 0}
    held = choose(document, [entries[0]], Constraints(keep_secret=("conv2",), queries=1))
    assert held.split is None
    assert held.excess == {"keep-secret": "conv2 (the client holds it in the clear)"}


def test_what_cannot_be_asked_for() -> None:
    document, entries = SAMPLES[0], ENTRIES[0]
    with pytest.raises(ReportError, match="the network has no layer 'conv9', 'x'; it has conv1, act1, conv2"):
        choose(document, entries, Constraints(keep_secret=("conv9", "conv1", "x")))
    with pytest.raises(ReportError, match=r"bounds are 0 or more; correct `max_latency_ms` -1, `max_round_trips` -2"):
        choose(document, entries, Constraints(max_latency_ms=-1, max_bytes=3, max_round_trips=-2))
    for value in (float("nan"), float("inf")):
        with pytest.raises(ReportError, match="bounds are 0 or more; correct `max_bytes`"):
            choose(document, entries, Constraints(max_bytes=value))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    save_report(tmp_path / "report.json", SAMPLES[0])
    return tmp_path / "report.json"


def test_the_command_chooses_and_says_whether_anything_fits(report: Path) -> None:
    middle = sorted(entry["latency_ms"] for entry in ENTRIES[0] if entry["latency_ms"] is not None)[5]
    arguments = ["choose", str(report), "--max-latency-ms", str(middle), "--max-round-trips", "2", "--expose", "all"]
    result = runner.invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0
    expected = choose(SAMPLES[0], ENTRIES[0], Constraints(max_latency_ms=middle, max_round_trips=2, expose=(ANY,)))
    assert json.loads(result.stdout) == expected.to_json()
    shown = runner.invoke(app, arguments)
    assert shown.exit_code == 0
    assert expected.reasons[0] in shown.stdout
    secret = ",".join(layer["name"] for layer in SAMPLES[0]["network"]["layers"])
    none = ["choose", str(report), "--max-round-trips", "0", "--keep-secret", f" {secret} ,", "--queries", "9"]
    result = runner.invoke(app, [*none, "--json"])
    assert result.exit_code == 1
    missed = json.loads(result.stdout)
    assert (missed["split"], missed["fitting"]) == (None, 0)
    assert missed["nearest"]["split"] in {entry["split"] for entry in ENTRIES[0]}
    assert set(missed["excess"]) <= {"max-round-trips", "keep-secret"}
    shown = runner.invoke(app, none)
    assert shown.exit_code == 1
    assert f"the nearest miss is {missed['nearest']['split']}:" in shown.stdout
    for name, words in missed["excess"].items():
        assert f"  {name}: {words}" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-bytes=-5"], "bounds are 0 or more; correct --max-bytes -5.0"),
        (["--keep-secret", "none"], "the network has no layer 'none'"),
        (["--expose", "all,some"], "the network has no layer 'some'"),
        (["--expose", "conv1", "--keep-secret", "conv2"], "give one of them"),
        (["--bandwidth-mbps", "0"], "is out of bounds"),
    ],
)
def test_the_command_refuses_in_one_sentence(report: Path, arguments: list[str], said: str) -> None:
    code, out, complaint = failure("split-profiler", "choose", str(report), *arguments)
    assert (code, out, complaint.count("\n")) == (1, "", 1)
    assert said in complaint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split", "auto"], "--split auto needs --report, a file of split-profiler run"),
        (["--split", "auto", "--report", "REPORT"], "network 'tiny' is not the one that was profiled"),
        (["--report", "REPORT"], "network 'tiny' is not the one that was profiled"),
        (["--split", "CCSSS", "--report", "REPORT"], "network 'tiny' is not the one that was profiled"),
        (["--split", "CCSSS", "--max-latency-ms", "5"], "use them with --split auto"),
        (
            ["--split", "CSSSS", "--keep-secret", "conv1"],
            "split CSSSS exposes what is to stay secret: conv1 (the client holds it",
        ),
        (["--split", "CSSSS", "--expose", "conv2"], "or name the layers as --expose"),
        (["--split", "CSSSS", "--expose", "none"], "the network has no layer 'none'"),
        (["--split", "CCSSS", "--bandwidth-mbps", "5"], "use them with --split auto"),
        (["--split", "auto", "--report", "OWN", "--share-keys"], "leave out --share-keys, or give the letters"),
        (["--report", "OWN", "--backend", "concrete-ml"], "the compiler settings of --backend integer"),
        (["--report", "OWN", "--p-error", "0.5"], "the report was measured at"),
        (["--report", "OWN", "--rounding", "exact"], "leave out --rounding, or --report"),
        (["--backend", "concrete-ml", "--rounding", "exact"], "--rounding is of --backend integer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_build_refuses_what_does_not_go_together(
    report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("a bundle was built")

    monkeypatch.setattr(building, "build_bundle", never)
    own = tmp_path / "own.json"
    document = json.loads(report.read_text())
    document["network"]["digest"] = network_digest("tiny")
    own.write_text(json.dumps(document))
    filled = [{"REPORT": str(report), "OWN": str(own)}.get(argument, argument) for argument in arguments]
    code, out, complaint = failure("cryptml", "build", "tiny", "--out", str(tmp_path / "bundle"), *filled)
    assert (code, out) == (1, "")
    assert said in complaint
    assert not (tmp_path / "bundle").exists()


def test_build_takes_the_split_that_choose_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = sample_report(5)
    document["network"]["digest"] = network_digest("tiny")
    save_report(tmp_path / "tiny.json", document)
    constraints = Constraints(max_round_trips=1, keep_secret=("conv3",), queries=1)
    request = BuildRequest("tiny", AUTOMATIC, tmp_path / "tiny.json", constraints)
    kept = building._report(request)
    assert kept is not None
    letters = building._letters(request, kept, 5, ConsoleListener())
    expected = choose(document, ENTRIES[0], constraints).split
    assert expected is not None
    assert letters == expected["split"]
    assert Split(letters).server_segments
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{letters} is the fastest" in captured.err
    with pytest.raises(
        ReportError, match=r"no split keeps every constraint; the nearest miss is C+ \(max-latency-ms: .*, at most 0\)"
    ):
        building._letters(
            replace(request, constraints=Constraints(max_latency_ms=0, expose=(ANY,))), kept, 5, ConsoleListener()
        )


def test_splits_off_the_frontier_are_chosen_too() -> None:
    """A bound on bytes may be kept by splits alone that the frontier, of other things, does not hold."""
    report, link = sample_report(7, infeasible=False), Link(100.0, 20.0)
    entries = choosable(report, link, Constraints(expose=(ANY,)))
    assert len(entries) == 2**7 > len(list_composed(report, link, 6)) > 0
    dominated = [entry for entry in entries if entry["round_trips"] and not entry["on_frontier"]]
    bound = min(entry["upload_bytes"] + entry["download_bytes"] for entry in dominated)
    fitting = [entry["latency_ms"] for entry in entries if entry["upload_bytes"] + entry["download_bytes"] <= bound]
    choice = choose(report, entries, Constraints(max_bytes=bound, expose=(ANY,)))
    assert (choice.total, choice.fitting) == (2**7, len(fitting))
    assert choice.split is not None
    assert choice.split["latency_ms"] == min(fitting)


@pytest.mark.parametrize(
    ("constraints", "name"),
    [
        (Constraints(max_bytes=1.0), "`max_bytes`"),
        (Constraints(keep_secret=("a",)), "`keep_secret`"),
        (Constraints(expose=("a",)), "`expose`"),
    ],
)
def test_where_splits_are_too_many_a_constraint_beside_the_frontier_is_refused(
    constraints: Constraints, name: str
) -> None:
    with pytest.raises(ReportError, match=f"a network of 17 layers has too many splits .* for {name}, at most 16"):
        choosable({"network": {"layers": [{}] * 17}}, LINK, constraints)


@pytest.mark.parametrize("index", range(len(SAMPLES)))
def test_without_more_said_nothing_learned_is_exposed(index: int) -> None:
    """To the client neither in the clear nor by as many queries as a client may ask; what may be exposed has to be named."""
    document, entries = SAMPLES[index], ENTRIES[index]
    layers = document["network"]["layers"]
    learned = [layer["name"] for layer in layers if layer["parameters"]]
    places = {layer["name"]: place for place, layer in enumerate(layers)}
    for allowed in ((), (learned[0],), (ANY,)):
        constraints = Constraints(expose=allowed)
        choice = choose(document, entries, constraints)
        found = choice.split if choice.split is not None else choice.nearest
        assert found is not None
        lost = {name for name in learned if is_lost(document, found["split"], places[name], constraints.queries)}
        if choice.split is not None:
            assert set(choice.exposed) == lost
            assert ANY in allowed or lost <= set(allowed)
        else:
            assert set(choice.excess) & {"keep-secret", "feasible"}


def test_what_a_choice_exposes_is_said_on_stderr_and_how_to_allow_it(report: Path) -> None:
    allowed = runner.invoke(app, ["choose", str(report), "--expose", "all"])
    assert allowed.exit_code == 0
    assert "EXPOSED to every client, of what the network has learned: " in allowed.stderr
    refused = runner.invoke(app, ["choose", str(report), "--max-latency-ms", "0.001"])
    assert refused.exit_code == 1
    if "keep-secret" in refused.stdout.rpartition("nearest miss")[2]:
        assert "--expose all" in refused.stdout
