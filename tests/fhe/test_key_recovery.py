"""The attack on a client that takes a service's word for the noise, run to the end; and that the shipped client does not.

A sample of noise is a float64, rounded to an integer of the torus. Where the noise is large enough, its lowest bits are always 0, and each
ciphertext gives away one exact equation modulo 2 about the secret key: as many as the key has bits, and it is solved for.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from concrete import fhe
from numpy.typing import NDArray

from benchmarks.key_noise import Words, measure, secret_keys, uncompressed
from benchmarks.specification_mutations.specification import Specification, recorded
from cryptml.errors import CircuitError
from cryptml.fhe import parameters
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.parameters import InsecureParameters

NOISY = 1e12
"""A variance at which every sample of noise is a multiple of a large power of two."""

SPARE = 40
"""Equations beside as many as there are unknowns."""


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A client that takes any specification which native code takes, as an earlier one did."""
    monkeypatch.setattr(parameters, "describe_problems", lambda _: iter(()))
    parameters._parse.cache_clear()
    yield
    parameters._parse.cache_clear()


def named(name: str) -> Specification:
    return next(each for each in recorded() if each.name == name)


def encryption(document: dict[str, Any]) -> dict[str, Any]:
    return document["circuits"][0]["inputs"][0]["typeInfo"]["lweCiphertext"]["encryption"]


def solve_modulo_two(equations: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the one solution of a system of linear equations over bits, (equations, unknowns) and (equations,).

    Raises:
        ValueError: If there is none, or more than one.
    """
    rows = np.concatenate([equations, right[:, None]], axis=1)
    unknowns = equations.shape[1]
    for column in range(unknowns):
        below = np.flatnonzero(rows[column:, column])
        if not below.size:
            raise ValueError("more than one solution")
        rows[[column, column + below[0]]] = rows[[column + below[0], column]]
        others = np.flatnonzero(rows[:, column])
        rows[others[others != column]] ^= rows[column]
    if rows[unknowns:, -1].any():
        raise ValueError("no solution")
    return rows[:unknowns, -1]


def attack_ciphertexts(message: bytes, dimension: int) -> NDArray[np.uint8]:
    """Return the secret key of whole ciphertexts, as a service gets them."""
    words: Words = np.frombuffer(message[: len(message) // 8 * 8], dtype="<u8")
    count = dimension + SPARE
    for start in range(len(words) - count * (dimension + 1) + 1):  # behind a head of some words
        rows = words[start : start + count * (dimension + 1)].reshape(count, dimension + 1)
        low = (rows & np.uint64(1)).astype(np.uint8)
        try:
            return solve_modulo_two(low[:, :-1], low[:, -1])
        except ValueError:
            continue
    raise ValueError("the noise hides the key")


def hostile(document: dict[str, Any], variance: float) -> dict[str, Any]:
    """Return a specification of large noise, under which masks are sent as they are, in a ciphertext for every equation."""
    again = uncompressed(document, encryption(document)["lweDimension"] + SPARE)
    encryption(again)["variance"] = variance
    again["circuits"][0]["outputs"][0]["typeInfo"]["lweCiphertext"]["encryption"]["variance"] = variance
    return again


def sent_by_a_client(specification: Specification, document: dict[str, Any]) -> tuple[bytes, Words]:
    """Return what a client sends that takes this specification, and its secret key."""
    circuit = copy.deepcopy(specification.circuit)
    values = encryption(document)["lweDimension"] + SPARE
    circuit["reads"]["shape"] = [values]
    data = json.dumps(document).encode()
    spec = Specification(specification.name, circuit, document).take(data)
    keys = KeySet.generate(spec)
    inputs = np.random.default_rng(5).integers(spec.reads.low, spec.reads.high, (1, values), np.int64, endpoint=True)
    return ClientCircuit(spec, keys).encrypt(inputs), secret_keys(keys.keys, document)[0]


@pytest.mark.usefixtures("unchecked")
def test_a_client_that_takes_any_noise_gives_its_key_away() -> None:
    specification = named("tiny-linear-0")
    document = hostile(specification.client_specs, NOISY)
    message, secret = sent_by_a_client(specification, document)
    assert np.array_equal(attack_ciphertexts(message, len(secret)), secret)


@pytest.mark.usefixtures("unchecked")
def test_the_attack_fails_where_the_noise_is_right() -> None:
    specification = named("tiny-linear-0")
    document = hostile(specification.client_specs, encryption(specification.client_specs)["variance"])
    message, secret = sent_by_a_client(specification, document)
    with pytest.raises(ValueError, match="hides"):
        attack_ciphertexts(message, len(secret))


def test_the_shipped_client_refuses_such_noise_before_it_makes_a_key() -> None:
    specification = named("tiny-linear-0")
    for variance in (NOISY, 1e36, 1e300):
        with pytest.raises(InsecureParameters, match="do not send anything"):
            specification.take(json.dumps(hostile(specification.client_specs, variance)).encode())


@pytest.mark.encrypted
def test_uploaded_keys_would_give_the_key_away_before_any_picture_is_sent() -> None:
    """A key-switching key holds ciphertexts of the large secret's bits under the small one: with noise that rounds away, equations for it."""
    specification = named("scatter-rounded-0")
    document = uncompressed(specification.client_specs, 1)
    key = document["keyset"]["lweKeyswitchKeys"][0]["params"]
    key["variance"] = 1e300
    client = fhe.Client(fhe.ClientSpecs.deserialize(json.dumps(document).encode()))
    client.keygen(force=True)
    dimension = key["outputLweDimension"]
    uploaded = bytes(client.keys.evaluation.serialize())
    tail = uploaded[-8 * key["inputLweDimension"] * key["levelCount"] * (dimension + 1) :]
    secret = secret_keys(client.keys, document)[1]
    assert np.array_equal(attack_ciphertexts(tail, dimension), secret)
    honest = json.loads(json.dumps(specification.client_specs))
    honest["keyset"]["lweKeyswitchKeys"][0]["params"]["variance"] = 1e300
    with pytest.raises(CircuitError, match="keyswitch key 0: noise of variance 1e\\+300"):
        specification.take(json.dumps(honest).encode())


@pytest.mark.encrypted
def test_honest_noise_is_what_the_curve_says_and_its_lowest_bit_says_nothing() -> None:
    """Of inputs, bootstrap keys and keyswitch keys, under the keys that native code really makes."""
    for name in ("tiny-linear-0", "scatter-rounded-0"):
        found = measure(named(name).client_specs)
        assert [each for each in found if not each.is_right] == []
        assert len(found) == (1 if "linear" in name else 3)
