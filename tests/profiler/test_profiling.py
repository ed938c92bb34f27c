"""A real run over a small network: killed, resumed, and its report checked."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cryptml.cli.split_profiler import app
from cryptml.exposure.audit import audit_segment
from cryptml.networks import Network
from cryptml.networks.storage import save_network
from cryptml.profiler.plan.report import load_report
from cryptml.splits import Segment

pytestmark = [pytest.mark.encrypted, pytest.mark.usefixtures("unmeasured_children")]
runner = CliRunner()


@pytest.fixture(scope="module")
def folder(smaller_tables: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("networks") / "three"
    save_network(smaller_tables, out, architecture=None)
    return out


def command(folder: Path, report: Path, *more: str) -> list[str]:
    return ["run", str(folder), "--out", str(report), "--repeats", "2", "--threads", "1", *more]


def test_a_killed_run_is_resumed_where_it_was(smaller_tables: Network, folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "profile.json"
    journal = tmp_path / "profile.json.unfinished"
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("split-profiler")), *command(folder, report)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (journal.exists() and '"measured ' in journal.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not report.exists()
    lines = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    before = {line["name"]: line["value"] for line in lines[1:]}

    refused = runner.invoke(app, command(folder, report))
    assert refused.exit_code == 1
    assert "`resume`" in str(refused.exception)
    resumed = runner.invoke(app, command(folder, report, "--resume"), catch_exceptions=False)
    assert resumed.exit_code == 0, resumed.output
    assert not journal.exists()

    document = load_report(report)
    assert [entry["server"]["status"] for entry in document["segments"]] == ["measured"] * 6
    done = {f"measured {entry['start']}-{entry['stop']}": entry["server"]["samples"] for entry in document["segments"]}
    kept = {name: value["samples"] for name, value in before.items() if name.startswith("measured ")}
    assert kept
    assert all(done[name] == samples for name, samples in kept.items())
    assert all(len(samples["evaluate_ms"]) == 2 for samples in done.values())

    splits = {entry["split"]: entry for entry in document["splits"]}
    assert {name: entry["origin"] for name, entry in splits.items()} == {
        "".join(letters): "composed" if "S" in letters else "measured" for letters in itertools.product("CS", repeat=3)
    }
    assert splits["SSS"]["server_peak_bytes"] > document["baselines"]["server_bytes"]
    assert splits["CCS"]["evaluation_key_bytes"] > 1 << 20
    assert splits["CSC"]["evaluation_key_bytes"] < 1 << 20

    for entry in document["segments"]:
        settings = entry["server"]["settings"]
        assert (settings is None) == (entry["server"]["bootstraps"] == 0)
        if settings is not None:
            assert settings["p_error"] == document["configuration"]["p_error"] == 2.0**-40
            assert settings["allocations"][0]["threads"] == document["configuration"]["threads"]
            assert all(each["answers_per_hour"] > 0 for each in settings["allocations"] if each["reason"] is None)
            assert [each["reason"] for each in settings["allocations"]].count(None) >= 1
            assert len(settings["why"]) >= 5
    first = document["segments"][0]["server"]
    last = document["segments"][-1]["server"]
    (variant,) = first["shared"]  # the one bit with the keys of the five bits, measured too
    assert (variant["status"], variant["key_parameters"]) == ("measured", last["key_parameters"])
    assert first["key_parameters"] != last["key_parameters"]
    assert variant["complexity"] > first["complexity"]
    assert len(variant["samples"]["evaluate_ms"]) == 2
    assert [name for name, entry in splits.items() if entry["shared_keys"]] == ["SCS"]
    shared = splits["SCS"]["shared_keys"]
    assert shared["evaluation_key_bytes"] == pytest.approx(last["evaluation_key_bytes"], abs=1 << 16)
    assert shared["evaluation_key_bytes"] < splits["SCS"]["evaluation_key_bytes"]
    assert document["elapsed"]["segments_s"] <= document["elapsed"]["total_s"]

    # Segments of one non-linearity were attacked; a success is in test_exposure.
    recovered = audit_segment(smaller_tables, Segment(1, 3))
    exposure = next(entry["exposure"] for entry in document["segments"] if (entry["start"], entry["stop"]) == (1, 3))
    assert exposure["queries"] == (recovered.queries if recovered.exact else None)
    assert splits["CSS"]["exposure"]["queries"] == exposure["queries"]

    shown = runner.invoke(app, ["show", str(report), "--settings"], catch_exceptions=False)
    assert shown.output.count("<- taken") == sum(
        entry["server"]["settings"] is not None for entry in document["segments"]
    )
    assert "the bound is 2^-30" in shown.output
    verify_over_http(folder, report)
    existing = runner.invoke(app, command(folder, report))
    assert existing.exit_code == 1
    assert "`force`" in str(existing.exception)


def test_trials_may_be_left_out(smaller_tables: Network, tmp_path: Path) -> None:
    whole = smaller_tables
    two = Network("two", whole.front_end, whole.layers[1:], whole.boundaries[1:], whole.classes)
    folder, report = tmp_path / "two", tmp_path / "quick.json"
    save_network(two, folder, architecture=None)
    result = runner.invoke(app, command(folder, report, "--no-trials"), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = [entry["server"]["settings"] for entry in load_report(report)["segments"]]
    assert [settings is None for settings in found] == [True, False, False]
    for settings in filter(None, found):
        assert (len(settings["candidates"]), settings["allocations"]) == (1, [])
        assert "trials were left out" in settings["why"][-1]


def verify_over_http(folder: Path, report: Path) -> None:
    """Run one of the report's splits for real, and find the result in the report."""
    options = ["--network", str(folder), "--splits", "CCS", "--repeats", "1", "--record"]
    result = runner.invoke(app, ["verify", str(report), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "latency: median error" in result.output
    assert "times the profile's" in result.output
    (entry,) = load_report(report)["verification"]["splits"]
    assert entry["split"] == "CCS"
    assert len(entry["measured"]["latency_ms"]) == 1
    for side in ("client", "server"):
        ratio = entry["predicted"][f"{side}_peak_bytes"] / entry["measured"][f"{side}_peak_bytes"]
        assert 0.5 < ratio < 2
    for wrong, said in (("CCC", "no server segment"), ("C", "letters")):
        refused = runner.invoke(app, ["verify", str(report), "--network", str(folder), "--splits", wrong])
        assert refused.exit_code == 1
        assert said in str(refused.exception)
    options = ["--network", str(folder), "--repeats", "1", "--share-keys"]
    result = runner.invoke(app, ["verify", str(report), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "SCS" in result.output
    assert "on 1 split" in result.output
    for more, said in ((["--splits", "CCS"], "no keys to share"), (["--record"], "leave out `record`")):
        refused = runner.invoke(app, ["verify", str(report), *options, *more])
        assert refused.exit_code == 1
        assert said in str(refused.exception)
    foreign = runner.invoke(app, ["verify", str(report), "--network", "tiny"])
    assert "not the one that was profiled" in str(foreign.exception)


def test_a_segment_over_its_limits_costs_only_itself(two_tables: Network, tmp_path: Path) -> None:
    """No process that measures fits into this memory, so no server segment is feasible; the client's own work is."""
    one = Network("one", two_tables.front_end, two_tables.layers[1:2], two_tables.boundaries[1:3], two_tables.classes)
    folder, report = tmp_path / "one", tmp_path / "profile.json"
    save_network(one, folder, architecture=None)
    result = runner.invoke(app, command(folder, report, "--segment-memory-mb", "150"), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document = load_report(report)
    for entry in document["segments"]:
        assert entry["server"]["status"] == "infeasible"
        assert "outgrew its memory limit" in entry["server"]["reason"]
        assert entry["client"]["run_ms"]
    assert [entry["origin"] for entry in document["splits"]] == ["measured", "infeasible"]
    assert "server segment linear..linear: " in document["splits"][1]["reason"]
    assert document["fit"] is None
    shown = runner.invoke(app, ["show", str(report)], catch_exceptions=False)
    assert shown.output.count("infeasible") >= 2


def test_options_out_of_bounds_are_named_at_once(tmp_path: Path) -> None:
    result = runner.invoke(app, ["run", "tiny", "--out", str(tmp_path / "x"), "--p-error", "2", "--rtt-ms", "-1"])
    assert result.exit_code == 1
    assert "`p_error` is 2" in str(result.exception)
    assert "`rtt_ms` is -1" in str(result.exception)
