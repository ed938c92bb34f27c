"""Several circuits under one key set: what is compiled again, what is refused, and that answers stay right."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptml_client import Client, KeyStore
from hypothesis import given
from hypothesis import strategies as st

from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.errors import CircuitError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.backends.sharing import compile_sharing
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS, CompilerSettings
from cryptml.files import sha256
from cryptml.networks import Network
from cryptml.splits import Segment, Split
from cryptml.verification.local_service import local_service

pytestmark = pytest.mark.usefixtures("unmeasured_children")


@dataclass(frozen=True)
class Parameters:
    key_parameters: str
    evaluation_key_bytes: int
    expanded_key_bytes: int


@dataclass(frozen=True)
class Spec:
    segment: Segment
    parameters: Parameters
    key_set: str = ""


@dataclass(frozen=True)
class FakeCompiled:
    spec: Spec
    discarded: list[Segment] = field(compare=False)

    def discard(self) -> None:
        self.discarded.append(self.spec.segment)


def fake_backend(needs: dict[Segment, frozenset[int]], discarded: list[Segment]) -> Any:
    """A segment needs some set; key parameters suffice when they hold it; a linear segment needs none."""

    def backend(
        _network: object, segment: Segment, _settings: CompilerSettings, *, keys_of: Any = None
    ) -> FakeCompiled:
        need = needs[segment]
        if keys_of is not None:
            parameters = keys_of.parameters
            if not need <= set(map(int, parameters.key_parameters)):
                raise CircuitError("does not suffice")
        else:
            parameters = Parameters("".join(map(str, sorted(need))), 100 * len(need), 500 * len(need))
        return FakeCompiled(Spec(segment, parameters), discarded)

    return backend


def compile_fakes(needs: list[frozenset[int]]) -> tuple[list[FakeCompiled], list[Segment], list[Segment]]:
    segments = [Segment(2 * index, 2 * index + 1) for index in range(len(needs))]
    discarded: list[Segment] = []
    told: list[Segment] = []
    backend = fake_backend(dict(zip(segments, needs, strict=True)), discarded)
    compiled: Any = compile_sharing(None, segments, lambda _: DEFAULT_COMPILER_SETTINGS, backend, told.append)  # type: ignore[arg-type]
    return compiled, discarded, told


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_the_largest_parameters_are_shared(sizes: list[int]) -> None:
    """Where each need holds the smaller ones, all take the largest; what was compiled for nothing is removed."""
    compiled, discarded, told = compile_fakes([frozenset(range(size)) for size in sizes])
    assert [each.spec.segment.start for each in compiled] == [2 * index for index in range(len(sizes))]
    largest = "".join(map(str, range(max(sizes))))
    for size, each in zip(sizes, compiled, strict=True):
        assert each.spec.parameters.key_parameters == (largest if size else "")
        assert each.spec.key_set == (largest if size else "")
    assert len(told) == len(compiled) + len(discarded)
    assert len(discarded) == sum(0 < size < max(sizes) for size in sizes)


def test_where_none_suffices_for_all_nothing_is_left() -> None:
    needs = [frozenset({1}), frozenset({2}), frozenset()]
    segments = [Segment(2 * index, 2 * index + 1) for index in range(3)]
    discarded: list[Segment] = []
    backend = fake_backend(dict(zip(segments, needs, strict=True)), discarded)
    with pytest.raises(CircuitError, match="the largest key parameters do not suffice for all"):
        compile_sharing(None, segments, lambda _: DEFAULT_COMPILER_SETTINGS, backend, lambda _: None)  # type: ignore[arg-type]
    assert sorted(discarded) == segments


@pytest.fixture(scope="module")
def alone(two_tables: Network) -> dict[Segment, CircuitSpec]:
    """Both tables, compiled each for itself."""
    found = {}
    for segment in (Segment(0, 1), Segment(2, 3)):
        compiled = compile_integer_program(two_tables, segment, DEFAULT_COMPILER_SETTINGS)
        compiled.discard()
        found[segment] = compiled.spec
    return found


@pytest.mark.encrypted
def test_too_small_parameters_are_refused(two_tables: Network, alone: dict[Segment, CircuitSpec]) -> None:
    """Concrete itself would say nothing, and take others."""
    small, large = sorted(alone.values(), key=lambda spec: spec.parameters.expanded_key_bytes)
    assert small.parameters.key_parameters != large.parameters.key_parameters
    with pytest.raises(CircuitError, match=f"segment {large.segment} cannot be evaluated with the key parameters of"):
        compile_integer_program(two_tables, large.segment, DEFAULT_COMPILER_SETTINGS, keys_of=small)
    again = compile_integer_program(two_tables, small.segment, DEFAULT_COMPILER_SETTINGS, keys_of=large)
    again.discard()
    assert again.spec.parameters.key_parameters == large.parameters.key_parameters
    again.spec.require_fit()


@pytest.mark.encrypted
def test_a_key_set_that_is_neither_own_nor_of_the_parameters_is_refused(alone: dict[Segment, CircuitSpec]) -> None:
    spec = alone[Segment(0, 1)]
    for name in (spec.key_set, spec.parameters.key_parameters):
        assert CircuitSpec.from_json(spec.to_json() | {"key_set": name}, spec.client_specs).key_set == name
    with pytest.raises(CircuitError, match="names a key set that is neither its own nor one of its parameters"):
        CircuitSpec.from_json(spec.to_json() | {"key_set": "0" * 64}, spec.client_specs)


@pytest.mark.encrypted
def test_a_client_makes_and_uploads_one_key_set_for_all(two_tables: Network, tmp_path: Path) -> None:
    """Over HTTP: two segments with bootstraps, one key file on each side, and the clear network's answers."""
    bundle = build_bundle(
        two_tables,
        Split("SCS"),
        tmp_path / "bundle",
        backend=compile_integer_program,
        share_keys=True,
    )
    steps = ClientBundle.load(bundle.folder / "client").server_steps
    assert len({step.circuit.key_set for step in steps}) == 1
    assert len({step.circuit.client_specs for step in steps}) == 2
    with local_service([bundle.folder], tmp_path / "data") as service:
        store = KeyStore(tmp_path / "keys")
        with Client(service.url, keys=store, trust_first_use=True) as client:
            for region in np.random.default_rng(0).random((3, 2, 2), dtype=np.float32):
                answer = client.predict_region(region).answer
                assert np.array_equal(answer.integers, two_tables.run(two_tables.quantise(region[None]))[0])
            (stored,) = store.list()
            assert stored.key_set == steps[0].circuit.key_set
            kept = [path for path in (tmp_path / "data" / "evaluation-keys").rglob("*") if path.is_file()]
            assert [sha256(path.read_bytes()) for path in kept] == [stored.evaluation_keys]
            assert client.evaluation_key_bytes == kept[0].stat().st_size
