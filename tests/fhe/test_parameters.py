"""A client's own judgement of the parameters that a service hands out, and of malformed specifications."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from concrete import fhe
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.errors import CircuitError
from cryptml.fhe.backends.base import configuration
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.backends.toolchain import linkable
from cryptml.fhe.bounds import MAX_SPECS_BYTES
from cryptml.fhe.parameters import CircuitParameters, InsecureParameters
from cryptml.fhe.security import (
    BIAS,
    FLOOR,
    LEAST_DIMENSION,
    MOST_DIMENSION,
    NOISE_TOLERANCE,
    SLOPE,
    describe_noise,
    variance,
)
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS, CompilerSettings
from cryptml.files import sha256
from cryptml.networks import Boundary, Network, Standardisation
from cryptml.networks.layers import Linear
from cryptml.splits import Segment

TABLE = fhe.LookupTable([(3 * value) % 16 for value in range(16)])


def specification(program: Callable[[Any], Any], top: int, p_error: float = 2.0**-40) -> bytes:
    samples = [np.zeros((1, 4), np.int64), np.full((1, 4), top)]
    with linkable():
        circuit = fhe.Compiler(program, {"x": "encrypted"}).compile(samples, configuration(CompilerSettings(p_error)))
    return bytes(circuit.client.specs.serialize())


@pytest.fixture(scope="module")
def specs() -> dict[str, bytes]:
    return {
        "linear": specification(lambda x: x @ np.array([[1], [2], [3], [1]]), 3),
        "lookup": specification(lambda x: TABLE[x], 15),
        "loose": specification(lambda x: TABLE[x], 15, 2.0**-17),
        "two": specification(lambda x: TABLE[TABLE[x]] + x, 15),
    }


NAMES = ["linear", "lookup", "loose", "two"]
Change = Callable[[dict[str, Any]], object]


def parse(document: Any) -> CircuitParameters:
    return CircuitParameters.parse(json.dumps(document).encode())


def input_cipher(document: dict[str, Any]) -> dict[str, Any]:
    return document["circuits"][0]["inputs"][0]["typeInfo"]["lweCiphertext"]["encryption"]


@pytest.mark.parametrize("name", NAMES)
def test_what_concrete_makes_is_accepted(specs: dict[str, bytes], name: str) -> None:
    parameters = CircuitParameters.parse(specs[name])
    assert parameters.input_shape == (1, 4)
    assert parameters.output_shape == ((1, 1) if name == "linear" else (1, 4))
    assert parameters.input_bytes % 8 == 0 < parameters.input_bytes
    assert parameters.output_bytes > parameters.input_bytes, "inputs are seeded, outputs are not"
    assert (parameters.evaluation_key_bytes == 0) == (name == "linear")
    assert min(parameters.dimensions) >= LEAST_DIMENSION
    assert json.loads(parameters.native) == json.loads(specs[name])


def noisy_places(document: dict[str, Any]) -> list[dict[str, Any]]:
    keys = document["keyset"]["lweBootstrapKeys"] + document["keyset"]["lweKeyswitchKeys"]
    return [*(key["params"] for key in keys), input_cipher(document)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "factor", [0.0, 1e-300, 1e-30, 1e-3, 0.5, 0.99, 1 - 1e-6, 1 + 1e-6, 1.01, 2.0, 1e3, 1e12, 1e36, 1e300, -1.0]
)
def test_any_other_noise_anywhere_is_refused(specs: dict[str, bytes], name: str, factor: float) -> None:
    """Too little is read through; too much loses its lowest bits, and with enough of it nothing is left."""
    original = json.loads(specs[name])
    for index in range(len(noisy_places(original))):
        document = copy.deepcopy(original)
        noisy_places(document)[index]["variance"] *= factor
        with pytest.raises(InsecureParameters, match=r"128-bit security is .*; do not send anything to this service"):
            parse(document)


@pytest.mark.parametrize("token", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity", '"1"', "null", "1" + "0" * 400])
def test_noise_that_is_no_finite_number_is_refused(specs: dict[str, bytes], token: str) -> None:
    document = json.loads(specs["linear"])
    input_cipher(document)["variance"] = "HERE"
    with pytest.raises(CircuitError, match="the client specification (is not JSON|breaks its schema|is nested)"):
        CircuitParameters.parse(json.dumps(document).replace('"HERE"', token).encode())


def test_a_member_that_stands_twice_is_refused(specs: dict[str, bytes]) -> None:
    """Python takes the last of both; another reader may take the first."""
    variance_twice = specs["linear"].replace(b'"variance": ', b'"variance": 1e36, "variance": ', 1)
    assert variance_twice != specs["linear"]
    with pytest.raises(CircuitError, match="variance"):
        CircuitParameters.parse(variance_twice)


def halve_input(document: dict[str, Any]) -> None:
    for key in document["keyset"]["lweSecretKeys"]:
        if key["id"] == input_cipher(document)["keyId"]:
            key["params"]["lweDimension"] //= 2
    input_cipher(document)["lweDimension"] //= 2


def halve_bootstrap(document: dict[str, Any]) -> None:
    document["keyset"]["lweBootstrapKeys"][0]["params"]["polynomialSize"] //= 2


def halve_keyswitch(document: dict[str, Any]) -> None:
    document["keyset"]["lweKeyswitchKeys"][0]["params"]["outputLweDimension"] //= 2


def halve_secret_key_alone(document: dict[str, Any]) -> None:
    for key in document["keyset"]["lweSecretKeys"]:
        key["params"]["lweDimension"] //= 2


def halve_cipher_alone(document: dict[str, Any]) -> None:
    input_cipher(document)["lweDimension"] //= 2


HALVINGS = {
    "input": ("linear", halve_input),
    "input before a lookup": ("lookup", halve_input),
    "bootstrap": ("lookup", halve_bootstrap),
    "keyswitch": ("lookup", halve_keyswitch),
    "secret keys": ("lookup", halve_secret_key_alone),
    "cipher": ("lookup", halve_cipher_alone),
}


@pytest.mark.parametrize(("name", "halve"), HALVINGS.values(), ids=HALVINGS.keys())
def test_half_the_dimension_at_equal_noise_is_refused(specs: dict[str, bytes], name: str, halve: Change) -> None:
    document = json.loads(specs[name])
    halve(document)
    with pytest.raises(InsecureParameters):
        parse(document)


@given(st.integers(1, 5000), st.floats(-0.5, 0.5))
def test_noise_is_taken_on_the_curve_alone(dimension: int, off: float) -> None:
    right = 2.0 ** (2 * max(SLOPE * dimension + BIAS, FLOOR))
    assert variance(dimension) == right
    found = describe_noise(dimension, right * (1 + off))
    if not LEAST_DIMENSION <= dimension <= MOST_DIMENSION:
        assert found
        assert f"dimension {dimension} (from {LEAST_DIMENSION} to" in found
    elif abs(abs(off) - NOISE_TOLERANCE) > 1e-12:  # at the edge itself, rounding decides
        assert (found is None) == (abs(off) < NOISE_TOLERANCE)


def test_all_reasons_are_given_at_once(specs: dict[str, bytes]) -> None:
    document = json.loads(specs["lookup"])
    for place in noisy_places(document):
        place["variance"] = 1e36
    with pytest.raises(InsecureParameters, match=r"bootstrap key 0: .*; keyswitch key 0: .*; an input: "):
        parse(document)


def add_costly_keys(document: dict[str, Any], source: int, target: int, levels: int, count: int) -> None:
    """Add a secret of a size that alone is allowed, and keyswitch keys from and to it, all numbers consistent with each other."""
    keyset = document["keyset"]
    for dimension in (source, target):
        place = len(keyset["lweSecretKeys"])
        params = {"lweDimension": dimension, "integerPrecision": 64, "keyType": "binary"}
        keyset["lweSecretKeys"].append({"id": place, "params": params})
    for _ in range(count):
        key = copy.deepcopy(keyset["lweKeyswitchKeys"][0])
        place = len(keyset["lweKeyswitchKeys"])
        key |= {"id": place, "inputId": len(keyset["lweSecretKeys"]) - 2, "outputId": len(keyset["lweSecretKeys"]) - 1}
        key["params"] |= {
            "levelCount": levels,
            "baseLog": 1,
            "inputLweDimension": source,
            "outputLweDimension": target,
            "variance": variance(target),
        }
        keyset["lweKeyswitchKeys"].append(key)


@pytest.mark.parametrize(
    ("source", "target", "levels", "count"), [(1_048_575, 2048, 64, 7), (393_216, 563, 64, 4), (600, 600, 1, 1)]
)
def test_keys_that_no_build_needs_are_refused(
    specs: dict[str, bytes], source: int, target: int, levels: int, count: int
) -> None:
    """Each number alone is one that the optimiser can emit; together they cost a client hours, or terabytes."""
    document = json.loads(specs["lookup"])
    add_costly_keys(document, source, target, levels, count)
    with pytest.raises(InsecureParameters, match="from a secret under which nothing comes"):
        parse(document)


def test_keys_that_expand_beyond_memory_are_refused(specs: dict[str, bytes]) -> None:
    document = json.loads(specs["lookup"])
    params = document["keyset"]["lweBootstrapKeys"][0]["params"]
    params |= {
        "levelCount": 64,
        "baseLog": 1,
        "glweDimension": 6,
        "polynomialSize": 131_072,
        "variance": variance(786_432),
    }
    document["keyset"]["lweSecretKeys"][0]["params"]["lweDimension"] = 786_432
    document["keyset"]["lweKeyswitchKeys"][0]["params"]["inputLweDimension"] = 786_432
    with pytest.raises(InsecureParameters, match="once expanded"):
        parse(document)


def test_a_small_linear_circuit_is_widened_until_its_secret_is_large_enough() -> None:
    """Concrete's optimiser takes 512 for it, where only a quarter of all samples have their lowest bit set."""
    narrow = specification(lambda x: x + 1, 1)
    with pytest.raises(InsecureParameters, match=f"dimension 512 .from {LEAST_DIMENSION}"):
        CircuitParameters.parse(narrow)
    boundaries = (Boundary((1, 2, 2), 0, 1, (0.75,)), Boundary((2,), -1, 1, (1.0,)))
    layer = Linear("linear", np.array([[1, 0, 0, 0], [0, 1, 0, -1]]), np.array([0, 0]))
    network = Network("one", Standardisation(2), (layer,), boundaries, ("a", "b"))
    compiled = compile_integer_program(network, Segment(0, 1), DEFAULT_COMPILER_SETTINGS)
    compiled.discard()
    assert min(compiled.spec.parameters.dimensions) >= LEAST_DIMENSION


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"3",
        b'"text"',
        b"{}",
        b'{"keyset": 3}',
        b'{"keyset": {"lweSecretKeys": 3}}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_specification_is_refused(data: bytes) -> None:
    with pytest.raises(CircuitError, match="the client specification (is not JSON|breaks its schema)"):
        CircuitParameters.parse(data)


def test_too_long_a_specification_is_refused_unread() -> None:
    with pytest.raises(CircuitError, match=f"has {MAX_SPECS_BYTES + 1} bytes, more than {MAX_SPECS_BYTES}"):
        CircuitParameters.parse(b" " * (MAX_SPECS_BYTES + 1))


def gaussian_keys(document: dict[str, Any]) -> None:
    document["keyset"]["lweSecretKeys"][0]["params"]["keyType"] = "ternary"


def narrow_keys(document: dict[str, Any]) -> None:
    document["keyset"]["lweSecretKeys"][0]["params"]["integerPrecision"] = 32


def packing_keys(document: dict[str, Any]) -> None:
    document["keyset"]["packingKeyswitchKeys"] = [{}]


def two_circuits(document: dict[str, Any]) -> None:
    document["circuits"] *= 2


def no_circuit(document: dict[str, Any]) -> None:
    document["circuits"] = []


def two_inputs(document: dict[str, Any]) -> None:
    document["circuits"][0]["inputs"] *= 2


def plain_input(document: dict[str, Any]) -> None:
    document["circuits"][0]["inputs"][0]["typeInfo"] = {"plaintext": {"shape": {"dimensions": [1, 4]}}}


def foreign_key(document: dict[str, Any]) -> None:
    input_cipher(document)["keyId"] = 77


def variance_as_text(document: dict[str, Any]) -> None:
    input_cipher(document)["variance"] = "1e-3"


KINDS = [
    gaussian_keys,
    narrow_keys,
    packing_keys,
    two_circuits,
    no_circuit,
    two_inputs,
    plain_input,
    foreign_key,
    variance_as_text,
]


@pytest.mark.parametrize("change", KINDS, ids=lambda change: change.__name__)
def test_a_specification_of_another_kind_is_refused(specs: dict[str, bytes], change: Change) -> None:
    document = json.loads(specs["lookup"])
    change(document)
    with pytest.raises(CircuitError, match="client specification"):
        parse(document)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_one_part_removed_is_refused_or_changes_nothing(specs: dict[str, bytes], data: st.DataObject) -> None:
    document = json.loads(specs["lookup"])
    original = CircuitParameters.parse(specs["lookup"])
    inner: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if not isinstance(inner[key], (dict, list)) or not inner[key] or data.draw(st.integers(0, 3)) == 0:
            break
        inner = inner[key]
    del inner[key]
    try:
        found = parse(document)
    except CircuitError:
        return
    assert found == original


def test_expanded_keys_are_larger_than_seeded_ones(specs: dict[str, bytes]) -> None:
    document = json.loads(specs["lookup"])
    seeded = parse(document).evaluation_key_bytes
    for key in document["keyset"]["lweBootstrapKeys"] + document["keyset"]["lweKeyswitchKeys"]:
        key["compression"] = "none"
    assert parse(document).evaluation_key_bytes > 2 * seeded


def test_the_payload_is_what_concrete_really_sends(specs: dict[str, bytes]) -> None:
    client = fhe.Client(fhe.ClientSpecs.deserialize(specs["linear"]))
    client.keygen(force=True)
    sent = client.encrypt(np.array([[0, 1, 2, 3]])).serialize()
    payload = CircuitParameters.parse(specs["linear"]).input_bytes
    assert payload <= len(sent) < payload + 2000


def foreign_internal_key(document: dict[str, Any]) -> None:
    document["keyset"]["lweBootstrapKeys"][0]["params"]["inputLweDimension"] = 4


def tiny_secret(document: dict[str, Any]) -> None:
    document["keyset"]["lweSecretKeys"][1]["params"]["lweDimension"] = 4


@pytest.mark.parametrize("change", [foreign_internal_key, tiny_secret])
def test_keys_that_disagree_with_each_other_never_reach_native_code(specs: dict[str, bytes], change: Change) -> None:
    document = json.loads(specs["lookup"])
    change(document)
    with pytest.raises(CircuitError, match="dimension"):
        parse(document)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(CircuitError, match="the client specification (is not JSON|breaks its schema|is nested)"):
        CircuitParameters.parse(b"[" * 100_000)


def input_cipher_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["circuits"][0]["inputs"][0]["typeInfo"]["lweCiphertext"]


RELABELLED: dict[str, Change] = {
    "keys in another order": lambda specs: specs["keyset"]["lweSecretKeys"].reverse(),
    "a key before the others": lambda specs: specs["keyset"]["lweSecretKeys"].insert(
        0, {"id": 7, "params": {"lweDimension": 1, "integerPrecision": 64, "keyType": "binary"}}
    ),
    "a key twice": lambda specs: specs["keyset"]["lweSecretKeys"].append(specs["keyset"]["lweSecretKeys"][0]),
    "a further field": lambda specs: specs["keyset"].update(circuits=[]),
    "a plain value beside the ciphertext": lambda specs: specs["circuits"][0]["inputs"][0]["typeInfo"].update(
        plaintext={"shape": {"dimensions": [1, 4]}, "integerPrecision": 64, "isSigned": True}
    ),
    "a plain answer": lambda specs: specs["circuits"][0]["outputs"][0]["typeInfo"].update(index={}),
    "another encoding": lambda specs: input_cipher_of(specs)["encoding"].update(boolean={}),
    "another mode": lambda specs: input_cipher_of(specs)["encoding"]["integer"]["mode"].update(crt={"moduli": [2]}),
    "a larger message": lambda specs: input_cipher_of(specs)["concreteShape"]["dimensions"].append(2),
    "a fraction of a level": lambda specs: specs["keyset"]["lweBootstrapKeys"][0]["params"].update(levelCount=2.5),
    "a foreign type": lambda specs: specs.update(tfhers_specs=5),
    "an answer of another dimension": lambda specs: specs["circuits"][0]["outputs"][0]["typeInfo"]["lweCiphertext"][
        "encryption"
    ].update(lweDimension=7),
    "an answer under an unknown key": lambda specs: specs["circuits"][0]["outputs"][0]["typeInfo"]["lweCiphertext"][
        "encryption"
    ].update(keyId=9),
}


@pytest.mark.parametrize("name", RELABELLED)
def test_what_native_code_would_read_otherwise_is_refused(specs: dict[str, bytes], name: str) -> None:
    """Native code finds keys by their place and skips unknown fields, so ids and fields must say the same."""
    document = json.loads(specs["lookup"])
    RELABELLED[name](document)
    with pytest.raises(CircuitError, match="client specification"):
        parse(document)


def test_key_parameters_never_have_the_digest_of_a_specification(specs: dict[str, bytes]) -> None:
    """Otherwise one circuit could pass for the owner of another's keys."""
    keyset = json.loads(specs["lookup"])["keyset"]
    alone = json.dumps(keyset, sort_keys=True).encode()
    assert CircuitParameters.parse(specs["lookup"]).key_parameters != sha256(alone)
