"""Reports that are damaged, contradict themselves or hold what a terminal would obey; writing whole or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cryptml.cli.split_profiler import app
from cryptml.errors import ReportError
from cryptml.profiler.plan.ranking import list_composed
from cryptml.profiler.plan.report import link_of, load_report, parse_report, require_network, save_report
from cryptml.reports.html import embed_json, render_html
from tests.profiler.profile_samples import BROKEN, DATA, HOSTILE, failure, sample_report

runner = CliRunner()


def test_each_damaged_report_is_expected() -> None:
    assert {path.stem for path in DATA.glob("*.json")} == {*BROKEN, HOSTILE}
    assert all(path.stat().st_size < 20_000 for path in DATA.glob("*.json"))


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_report_is_refused_with_its_reason(name: str) -> None:
    path = DATA / f"{name}.json"
    with pytest.raises(ReportError, match=f"(?s)^the report {name}\\.json .*{BROKEN[name]}"):
        load_report(path)


@pytest.mark.parametrize("name", BROKEN)
def test_the_command_says_so_in_one_sentence(name: str) -> None:
    for verb in ("show", "choose"):
        code, said, complaint = failure("split-profiler", verb, str(DATA / f"{name}.json"))
        assert (code, said) == (1, "")
        assert re.search(BROKEN[name].removeprefix("^"), complaint)
        assert re.fullmatch(r"error: the report [^\n]+\n", complaint), complaint
        assert "Traceback" not in complaint
        assert complaint[:-1].isprintable()


def test_no_traceback_from_the_installed_command() -> None:
    program = "import sys; sys.argv[0] = 'split-profiler'; from cryptml.cli.split_profiler import run; run()"
    command = [sys.executable, "-c", program, "show", str(DATA / "segment-missing.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: the report segment-missing.json contradicts itself: ")
    assert result.stderr.count("\n") == 1


def test_a_missing_report_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(ReportError, match="is missing or not a plain file"):
        load_report(tmp_path / "none.json")
    with pytest.raises(ReportError, match="is a folder without a report in it"):
        load_report(tmp_path)
    (tmp_path / "link.json").symlink_to(DATA / f"{HOSTILE}.json")
    with pytest.raises(ReportError, match="is missing or not a plain file"):
        load_report(tmp_path / "link.json")


def test_an_endless_version_does_not_flood_the_terminal() -> None:
    with pytest.raises(ReportError, match="is of format version") as caught:
        parse_report(b'{"format_version": "' + b"x" * 100_000 + b'"}', "long.json")
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("verb", [["show"], ["show", "--frontier"], ["choose"], ["choose", "--max-latency-ms", "0"]])
def test_hostile_names_do_nothing_to_a_terminal(verb: list[str]) -> None:
    result = runner.invoke(app, [verb[0], str(DATA / f"{HOSTILE}.json"), *verb[1:]])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    require_harmless(result.output)


def test_hostile_names_in_the_reason_of_a_miss() -> None:
    document = load_report(DATA / f"{HOSTILE}.json")
    name = document["network"]["layers"][0]["name"]
    result = runner.invoke(app, ["choose", str(DATA / f"{HOSTILE}.json"), "--keep-secret", name.split(",")[0]])
    require_harmless(result.output)
    code, _, complaint = failure("split-profiler", "choose", str(DATA / f"{HOSTILE}.json"), "--keep-secret", "conv1")
    assert code == 1
    assert "the network has no layer 'conv1'" in complaint
    require_harmless(complaint)


def test_hostile_names_in_a_comparison(tmp_path: Path) -> None:
    save_report(tmp_path / "base.json", sample_report(2, verified=False))
    result = runner.invoke(app, ["compare", str(tmp_path / "base.json"), str(DATA / f"{HOSTILE}.json")])
    assert result.exit_code == 0
    require_harmless(result.output)


def require_harmless(text: str) -> None:
    assert text
    strange = {character for character in text if not character.isprintable() and character != "\n"}
    assert not strange, strange


def test_a_report_is_written_as_it_was(tmp_path: Path) -> None:
    document = sample_report(3)
    save_report(tmp_path / "report.json", document)
    assert load_report(tmp_path / "report.json") == document


def test_an_invalid_report_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    save_report(path, sample_report(2))
    before = path.read_bytes()
    lacking, contradicting = sample_report(2), sample_report(2)
    del lacking["machine"]
    contradicting["splits"].pop()
    for document in (lacking, contradicting):
        with pytest.raises(ReportError, match="report.json"):
            save_report(path, document)
    endless = sample_report(2)
    endless["elapsed"]["total_s"] = float("nan")
    with pytest.raises((ReportError, ValueError)):
        save_report(path, endless)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_figures_of_a_split_are_all_there_or_none() -> None:
    """What reads the listed figures (compare, the page) takes them for numbers wherever a split can be run."""
    from cryptml.files import to_json_bytes

    document = sample_report(2, verified=False)
    document["splits"][1]["client_ms"] = None
    with pytest.raises(ReportError, match="CS"):
        parse_report(to_json_bytes(document), "report.json")


def test_the_wire_is_the_reports_or_what_is_asked_for() -> None:
    document = sample_report(1)
    assert (link_of(document).bandwidth_mbps, link_of(document).rtt_ms) == (100.0, 20.0)
    assert (link_of(document, 5, 0).bandwidth_mbps, link_of(document, 5, 0).rtt_ms) == (5.0, 0.0)
    for bandwidth, rtt in ((0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, -1), (1, float("nan")), (1, 1e7)):
        with pytest.raises(ReportError, match="is out of bounds; give 0.001 to 1000000 and 0 to 1000000"):
            link_of(document, bandwidth, rtt)


RECORDED = sorted(Path(__file__).parents[2].glob("profiles/*/*/profile.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parts[-3]} on {path.parts[-2]}")
def test_a_recorded_profile_holds_every_split_as_this_version_composes_it(path: Path) -> None:
    document = load_report(path)
    require_network(document, path.parts[-3])
    assert len(document["splits"]) == 2 ** len(document["network"]["layers"])
    assert document["splits"] == list_composed(document, link_of(document))
    assert embed_json([document]) in render_html([document])
