"""Changes of one number of a specification, or of several that belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.json_changes import Path_, leaves, mutations
from cryptml.fhe.security import variance

DIMENSIONS = (
    1,
    256,
    449,
    450,
    480,
    512,
    540,
    562,
    563,
    564,
    580,
    600,
    700,
    900,
    1023,
    1024,
    1500,
    2047,
    2048,
    3000,
    4096,
)
"""That a service may claim for a secret key and contradict itself nowhere; each is tried with its own noise, and with what was there."""

DIMENSION_FIELDS = ("lweDimension", "inputLweDimension", "outputLweDimension")


@dataclass(frozen=True)
class Change:
    """What is changed together, and what that is called in the table."""

    field: str
    tokens: Mapping[Path_, str]


def single_changes(document: Any) -> Iterator[Change]:
    """Yield every change of one number."""
    for path, value in leaves(document):
        for token in mutations(value):
            yield Change(field_of(path), {path: token})


def joint_changes(document: Any) -> Iterator[Change]:
    """Yield changes of numbers that belong together, so that the specification contradicts itself nowhere or less."""
    places = list(leaves(document))
    alike: dict[tuple[str | int, float], list[Path_]] = {}
    for path, value in places:
        alike.setdefault((path[-1], value), []).append(path)
    for (name, value), paths in alike.items():
        if len(paths) > 1 and isinstance(name, str):
            for token in mutations(value):
                yield Change(f"every `{name}` that is alike", dict.fromkeys(paths, token))
    for secret in document["keyset"]["lweSecretKeys"]:
        before = secret["params"]["lweDimension"]
        keys = [key["params"] for key in document["keyset"]["lweBootstrapKeys"]]
        polynomials = {(each["glweDimension"], each["polynomialSize"]) for each in keys}
        glwe = next((count for count, size in polynomials if count * size == before), 0)
        for after in DIMENSIONS:
            if after == before:
                continue
            tokens = dict(_at_dimension(places, before, after, glwe))
            yield Change("a secret's dimension, everywhere", {**tokens})
            noises = {path: repr(variance(after)) for path, value in places if _is_noise_of(path, value, before)}
            yield Change("a secret's dimension and its noise, everywhere", {**tokens, **noises})


def _at_dimension(places: list[tuple[Path_, float]], before: int, after: int, glwe: int) -> Iterator[tuple[Path_, str]]:
    """Yield what stands elsewhere where a secret key has another dimension; ``glwe`` polynomials make it up, 0 for none."""
    for path, value in places:
        if path[-1] in DIMENSION_FIELDS and value == before:
            yield path, str(after)
        elif "dimensions" in path and value == before + 1:
            yield path, str(after + 1)
        elif glwe and path[-1] == "polynomialSize" and value * glwe == before:
            yield path, str(after // glwe)


def _is_noise_of(path: Path_, value: float, dimension: int) -> bool:
    return path[-1] == "variance" and abs(value - variance(dimension)) <= 1e-6 * value


def field_of(path: Path_) -> str:
    """Return a field's name: the way to it, whichever of several keys or axes it is of."""
    return ".".join("*" if isinstance(each, int) else each for each in path)
