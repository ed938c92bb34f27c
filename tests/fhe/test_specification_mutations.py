"""Numbers of real specifications, changed: a seeded sample of `python -m benchmarks.specification_mutations`, and all changes of what matters most."""

from __future__ import annotations

import json
import random

import pytest

from benchmarks.json_changes import changed, leaves, mutations
from benchmarks.specification_mutations.changes import Change, field_of, joint_changes, single_changes
from benchmarks.specification_mutations.specification import Specification, recorded
from benchmarks.specification_mutations.trial import Trial
from cryptml.errors import CryptmlError
from cryptml.fhe.security import LEAST_DIMENSION, NOISE_TOLERANCE

SHARE = 0.006

OPEN_FIELDS = ("levelCount", "baseLog", "width")
"""That a service decides on, within bounds: what they may be changed to is measured."""

SPECIFICATIONS = {each.name: each for each in recorded()}


def test_specifications_of_every_kind_are_recorded() -> None:
    """With tables, linear, rounded, and sharing keys; of every shipped network."""
    kinds = {name.rsplit("-", 1)[0] for name in SPECIFICATIONS}
    assert {
        "tiny-tables",
        "tiny-linear",
        "tiny-shared",
        "reference-rounded",
        "deep-rounded",
        "scatter-rounded",
        "conv-rounded",
    } <= kinds
    for each in SPECIFICATIONS.values():
        each.take(json.dumps(each.client_specs).encode())


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_no_other_noise_is_taken_anywhere(name: str) -> None:
    specification = SPECIFICATIONS[name]
    places = [(path, value) for path, value in leaves(specification.client_specs) if path[-1] == "variance"]
    assert len(places) >= 2
    for path, value in places:
        for token in mutations(value):
            try:
                specification.take(changed(specification.client_specs, {path: token}))
            except CryptmlError:
                continue
            assert abs(float(token) - value) <= NOISE_TOLERANCE * value, (path, token)


@pytest.mark.parametrize("name", ["tiny-linear-0", "tiny-shared-0", "scatter-rounded-0"])
def test_what_is_taken_changed_is_a_field_that_a_service_may_decide_on(name: str) -> None:
    specification, generator = SPECIFICATIONS[name], random.Random(name)
    for path, value in leaves(specification.client_specs):
        if path[-1] in OPEN_FIELDS or path[-1] == "variance":
            continue
        for token in generator.sample(every := mutations(value), len(every) // 4):
            with pytest.raises(CryptmlError):
                specification.take(changed(specification.client_specs, {path: token}))


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_a_dimension_that_is_too_small_is_refused_though_nothing_contradicts_it(name: str) -> None:
    specification, tried = SPECIFICATIONS[name], 0
    for change in joint_changes(specification.client_specs):
        dimensions = [token for path, token in change.tokens.items() if path[-1] == "lweDimension"]
        if "and its noise" in change.field and int(dimensions[0]) < LEAST_DIMENSION:
            tried += 1
            with pytest.raises(CryptmlError):
                specification.take(changed(specification.client_specs, change.tokens))
    assert tried >= 8


@pytest.mark.encrypted
def test_a_sample_of_all_changes_is_refused_or_harmless() -> None:
    generator = random.Random(11)
    trial = Trial()
    for specification in SPECIFICATIONS.values():
        for change in (*single_changes(specification.client_specs), *joint_changes(specification.client_specs)):
            if generator.random() < SHARE:
                trial.change(specification, change)
    assert trial.undecided == []
    assert sum(each.tried for each in trial.tallies.values()) > 200
    assert sum(each.refused for each in trial.tallies.values()) > 150
    assert len(trial.table().splitlines()) == len(trial.tallies) + 3


@pytest.mark.encrypted
def test_a_change_that_would_matter_is_found_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness can fail: with the check off, noise that rounds away is measured as wrong."""
    from cryptml.fhe import parameters

    monkeypatch.setattr(parameters, "describe_problems", lambda _: iter(()))
    parameters._parse.cache_clear()
    specification: Specification = SPECIFICATIONS["tiny-linear-0"]
    (place,) = [path for path, _ in leaves(specification.client_specs) if path[-1] == "variance" and "inputs" in path]
    trial = Trial()
    trial.change(specification, Change(field_of(place), {place: "1e36"}))
    parameters._parse.cache_clear()
    assert len(trial.undecided) == 1
    assert trial.tallies[field_of(place)].tried == 1
