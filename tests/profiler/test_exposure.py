"""What splits give away, as counts: checked against the network, and against the attack that is run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cryptml.cli.profiler.audit import audit
from cryptml.errors import NetworkError, SettingError, SplitError
from cryptml.exposure.audit import audit_segment
from cryptml.exposure.facts import SegmentExposure, insecure_layers, segment_exposure, split_exposure
from cryptml.exposure.statement import exposed_by
from cryptml.fhe.settings import CompilerSettings
from cryptml.journal import Journal
from cryptml.networks import Network, load_network
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.profiler.assembly import assemble
from cryptml.profiler.findings import Findings
from cryptml.profiler.measure.compiler_process import attack
from cryptml.profiler.plan.costs import Link
from cryptml.splits import Segment, Split, enumerate_segments, enumerate_splits
from tests.networks.network_samples import small_network

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(audit)


@pytest.fixture(params=["tiny", "reference"])
def network(request: pytest.FixtureRequest) -> Network:
    return request.getfixturevalue(request.param)


def test_what_a_build_says_is_exposed_holds_what_the_client_recovers() -> None:
    scatter = load_network("scatter")
    assert set(exposed_by(scatter, Split("SSS"), 10**6)) == set()
    assert set(exposed_by(scatter, Split("CSS"), 10**6)) == {"linear1", "act1", "votes"}, (
        "one table on the inputs themselves"
    )
    assert set(exposed_by(scatter, Split("CSS"), 0)) == {"linear1"}
    assert set(exposed_by(scatter, Split("CCC"), 0)) == {"linear1", "act1", "votes"}


def facts_of(network: Network) -> dict[Segment, SegmentExposure]:
    return {segment: segment_exposure(network, segment) for segment in enumerate_segments(len(network))}


def names_of(network: Network) -> list[str]:
    return [layer.name for layer in network.layers]


def test_the_facts_are_the_networks(network: Network) -> None:
    for segment, facts in facts_of(network).items():
        assert facts.linear == network.is_linear(segment)
        assert facts.parameters == sum(layer.parameters for layer in network.segment_layers(segment))
        assert facts.inputs == network.boundaries[segment.start].size
        assert facts.outputs == network.boundaries[segment.stop].size
        first, *rest = network.segment_layers(segment)
        additive = not first.linear and all(layer.linear for layer in rest)
        assert (facts.queries is not None) == (facts.linear or additive)
        if facts.linear:
            assert facts.queries is not None
            assert facts.queries <= facts.inputs + 1
        assert set(facts.to_json()) == {"linear", "parameters", "inputs", "outputs", "queries", "attack"}
        json.dumps(facts.to_json(), allow_nan=False)
        assert facts.attack.endswith(".")
        if facts.queries != 0:
            assert "USENIX Security 2016" in facts.attack


def test_the_attack_uses_the_queries_that_are_stated(network: Network) -> None:
    for segment, facts in facts_of(network).items():
        if facts.linear:
            assert audit_segment(network, segment).queries == facts.queries
        elif facts.queries is not None:
            found = audit_segment(network, segment, budget=max(16, facts.queries))
            assert found.exact
            assert found.queries <= facts.queries


def test_poolings_hold_nothing_to_learn(reference: Network) -> None:
    network = small_network()
    place = next(index for index, layer in enumerate(network.layers) if layer.kind == "pooling")
    assert segment_exposure(network, Segment(place, place + 1)).queries == 0
    with pytest.raises(NetworkError, match="past"):
        segment_exposure(reference, Segment(4, 6))


def test_a_split_adds_up(network: Network) -> None:
    facts = facts_of(network)
    parameters = [layer.parameters for layer in network.layers]
    bootstraps = {segment: network.bootstraps(segment) for segment in facts}
    for split in enumerate_splits(len(network)):
        found = split_exposure(split, facts, parameters, bootstraps, DEFAULT_P_ERROR)
        server = sum(facts[segment].parameters for segment in split.server_segments)
        assert found.client_parameters + server == network.parameters
        assert found.client_parameter_share == pytest.approx(found.client_parameters / network.parameters)
        assert found.recoverable_parameters <= server
        assert found.decrypted_boundaries == len(split.server_segments)
        asked = [facts[each].queries for each in split.server_segments if facts[each].parameters]
        lost = [queries for queries in asked if queries is not None]
        assert found.queries == (min(lost) if lost else None)
        evaluated = sum(bootstraps[segment] for segment in split.server_segments)
        assert found.failure_probability == pytest.approx(1 - (1 - DEFAULT_P_ERROR) ** evaluated, rel=1e-3)
        json.dumps(found.to_json(), allow_nan=False)


def test_a_split_of_another_length_is_refused(tiny: Network) -> None:
    with pytest.raises(SplitError):
        split_exposure(Split("CS"), facts_of(tiny), [1] * 5, {}, DEFAULT_P_ERROR)
    with pytest.raises(SplitError):
        insecure_layers(names_of(tiny), Split("CS"), facts_of(tiny), 10)


def test_insecure_layers_are_the_clients_and_the_solved(reference: Network) -> None:
    facts, names = facts_of(reference), names_of(reference)
    assert insecure_layers(names, Split("SSSSS"), facts, 10**9) == {}
    assert set(insecure_layers(names, Split("CCCCC"), facts, 0)) == set(names)
    few = insecure_layers(names, Split("SCSCS"), facts, 40)
    assert set(few) == set(names) - {"linear1", "votes"}
    assert "37 queries recover" in few["conv1"]
    assert "clear" in few["act1"]
    assert "votes" in insecure_layers(names, Split("SCSCS"), facts, 49)


def test_the_command_prints_facts_of_a_split() -> None:
    result = CliRunner().invoke(app, ["tiny", "--split", "CCSCC", "--no-encrypted"], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    for part in ("CCSCC", "3 queries recover segment 2-3", "78.0 %", "bytes in", "128 bits", "skipped"):
        assert part in result.output, part
    assert "…" not in result.output


def test_the_command_attacks_linear_layers_of_the_reference() -> None:
    for split, start, queries in (("SCCCC", 0, 37), ("CCSCC", 2, 217)):
        result = CliRunner().invoke(app, ["reference", "--split", split, "--no-encrypted", "--json"])
        assert result.exit_code == 0, result.output
        report = json.loads([line for line in result.output.splitlines() if line.startswith("{")][-1])
        (segment,) = report["segments"]
        assert segment["start"] == start
        assert segment["attack"]["exact"]
        assert segment["attack"]["recovered_share"] == 1
        assert segment["attack"]["queries"] == segment["exposure"]["queries"] == queries


@pytest.mark.encrypted
def test_the_command_lists_all_splits_and_attacks_ciphertexts() -> None:
    result = CliRunner().invoke(app, ["tiny", "--all", "--queries", "200"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    rows = [line.split()[0] for line in result.stdout.splitlines() if line.split() and set(line.split()[0]) <= {*"CS"}]
    assert rows == [split.letters for split in enumerate_splits(5)]
    assert "Attack on ciphertexts" in result.output
    assert "…" not in result.stdout


@pytest.mark.parametrize(
    "options", [["--all", "--split", "CCCCC"], ["--p-error", "0"], ["--p-error", "nan"], ["--split", "CX"]]
)
def test_the_command_refuses_nonsense(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["tiny", *options])
    assert isinstance(result.exception, SettingError | SplitError)


def test_the_command_says_why_ciphertexts_are_left_alone() -> None:
    options = ["tiny", "--split", "CCCCS", "--encrypted-queries", "5"]
    result = CliRunner().invoke(app, options, env={"COLUMNS": "100"})
    assert "needs 17 queries" in result.output
    nothing = CliRunner().invoke(app, ["tiny", "--split", "CCCCC"])
    assert "nothing is hidden" in nothing.output
    assert np.isclose(0, nothing.exit_code)


@pytest.mark.parametrize(
    ("known", "needed", "expected"), [(None, 1501, 1501), (3841, 1009, 1009), (9, 65, 9), (9, 9, 9)]
)
def test_a_successful_attack_counts_where_it_needed_fewer_queries_than_known(
    known: int | None, needed: int, expected: int
) -> None:
    before = SegmentExposure(linear=False, parameters=5, inputs=4, outputs=3, queries=known, attack="as published")
    after = before.attacked(needed)
    assert after.queries == expected
    assert ("The attack of split-profiler audit" in after.attack) == (expected != known)
    assert (after.parameters, after.inputs, after.outputs, after.linear) == (5, 4, 3, False)


def test_what_an_attack_recovers_while_profiling_is_given_away_in_the_report(tiny: Network, tmp_path: Path) -> None:
    segment = Segment(0, 2)
    assert segment_exposure(tiny, segment).queries is None
    found = attack({"network": "tiny", "start": 0, "stop": 2, "queries": 2000})
    assert found == {"queries": audit_segment(tiny, segment).queries}
    journal = Journal(tmp_path / "journal", {}, resume=False)
    journal.record("attacked 0-2", found)
    for each in enumerate_segments(len(tiny)):
        journal.record(f"clear {each}", [1.0])
        journal.record(f"compiled {each}", {"reason": "not compiled here"})
    journal.record("baselines", {"client_bytes": 1, "server_bytes": 1})
    journal.record("front-end", [1.0])
    report = assemble(
        Findings(tiny, journal, CompilerSettings()),
        max_failure=None,
        digest="0" * 64,
        configuration={"p_error": DEFAULT_P_ERROR},
        link=Link(100.0, 20.0),
        total_s=1.0,
    )
    given = {(entry["start"], entry["stop"]): entry["exposure"]["queries"] for entry in report["segments"]}
    assert given[0, 2] == found["queries"]
    assert given[0, 3] is None
