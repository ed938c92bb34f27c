"""A network of one table keeps a secret only for so many queries, and is chosen and built where that is accepted by number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.building import BuildRequest, build
from cryptml.errors import SettingError
from cryptml.exposure.facts import LINEAR, ONE, WEIGHTED_SUM, segment_exposure
from cryptml.listening import SilentListener
from cryptml.networks import Network
from cryptml.networks.architectures.registry import load_architecture
from cryptml.networks.storage import save_network
from cryptml.profiler.plan.choice import Constraints, choosable, choose
from cryptml.profiler.plan.costs import Link
from cryptml.splits import Segment
from cryptml.training import check_convertible
from tests.profiler.profile_samples import sample_report

LINK = Link(100.0, 20.0)


class Budgeted(SilentListener):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def line() -> Network:
    return check_convertible(load_architecture("line"), ("a", "b"))


def test_the_number_is_that_of_inputs_times_their_bits(line: Network) -> None:
    reads = line.boundaries[0]
    for stop in (2, 3):
        found = segment_exposure(line, Segment(0, stop))
        assert found.queries == reads.size * reads.bits
        assert found.attack == WEIGHTED_SUM
    assert segment_exposure(line, Segment(0, 1)).attack == LINEAR
    assert line.bootstraps(Segment(0, 3)) == 1


def test_every_class_has_a_sum_of_its_own() -> None:
    classes = tuple("abc")
    network = check_convertible(load_architecture("line"), classes)
    reads = network.boundaries[0]
    assert segment_exposure(network, Segment(0, 3)).queries == len(classes) * reads.size * reads.bits
    assert network.bootstraps(Segment(0, 3)) == len(classes)


def test_more_tables_than_answers_have_no_such_number() -> None:
    found = segment_exposure(check_convertible(load_architecture("deep"), ("a", "b")), Segment(0, 3))
    assert (found.queries, found.attack) == (None, ONE)


def test_it_is_built_where_the_number_is_accepted(line: Network, tmp_path: Path) -> None:
    save_network(line, tmp_path / "line", architecture="line")
    queries = segment_exposure(line, Segment(0, 3)).queries
    assert queries is not None
    request = BuildRequest(str(tmp_path / "line"), "SSS", spot_checks=0, measure=False)
    for allowed in (None, queries + 1):
        asked = replace(request, constraints=Constraints(allow_recovery=allowed))
        with pytest.raises(
            SettingError, match=rf"about {queries:,} queries recover it; accept that with `allow_recovery`"
        ):
            build(asked, tmp_path / "bundle")
    heard = Budgeted()
    accepted = replace(request, constraints=Constraints(allow_recovery=queries))
    built = build(accepted, tmp_path / "bundle", listener=heard)
    assert str(built.split) == "SSS"
    assert any(f"about {queries:,} queries recover segment 0-3" in each for each in heard.notes)


@given(st.integers(0, 2), st.integers(1, 2_000_000))
def test_a_split_is_chosen_where_what_it_loses_takes_as_many_queries_as_were_accepted(seed: int, allowed: int) -> None:
    document = sample_report(4, seed=seed)
    plain, accepting = Constraints(), Constraints(allow_recovery=allowed)
    entries = choosable(document, LINK, plain)
    bound = replace(plain, queries=min(plain.queries, allowed - 1))
    if bound.queries:
        found, same = choose(document, entries, accepting), choose(document, entries, bound)
        assert found.split == same.split
        assert set(found.exposed) >= set(same.exposed)
    assert accepting.withstood == min(1_000_000, allowed - 1)
    assert choose(document, entries, plain).fitting <= choose(document, entries, accepting).fitting
