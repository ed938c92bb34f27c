"""Numbers of real client specifications, alone and with those that belong to them, changed in the ways that a hostile service may think of.

    python -m benchmarks.specification_mutations

A change is *refused* by the client, or taken and then *harmless*: native code is given the changed specification, and the noise of a fresh
input and of every evaluation key is what the security curve asks for, read off under the client's own secret key. What is neither is
*undecided*, and the command fails. The specifications are those of shipped networks, recorded with --record into
tests/data/specifications.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.key_noise import measure_input, measure_key
from cryptml.errors import CryptmlError
from cryptml.fhe.circuit import CircuitSpec
from cryptml.fhe.security import variance

RECORDED = Path(__file__).parents[1] / "tests" / "data" / "specifications"

RECORDED_SPLITS = {
    "tiny-tables": ("tiny", "SSSSS", False),
    "tiny-linear": ("tiny", "SCSCS", False),
    "tiny-shared": ("tiny", "SSCSS", True),
    "reference-rounded": ("reference", None, False),
    "deep-rounded": ("deep", None, False),
    "scatter-rounded": ("scatter", None, False),
    "conv-rounded": ("conv", None, False),
}
"""Name of a record: network, split (its own default if None), whether its circuits share keys."""

Path_ = tuple[str | int, ...]
PLACE = "\0number\0"

EXTREMES = tuple(
    """
    0 -0.0 1 -1 2 3 7 8 15 16 31 32 33 63 64 65 127 255 256 450 512 562 1023 1024 2047 2048 4096 32768 65536 131072 262144 1048575 1048576
    2147483647 2147483648 4294967295 4294967296 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616
    1000000000000000000000000000000 0.5 1.5 2.0 1e-400 5e-324 1e-300 1e-40 1e-38 1e-20 1e-9 1e-3 1e3 1e6 1e12 1e36 1e300 1.7e308 1e999
    -1e999 -1e12 NaN Infinity -Infinity true false null "1" [] {}
    """.split()  # noqa: SIM905
)
"""As they stand in JSON; some are not JSON."""

FACTORS = (
    1 - 1e-12,
    1 + 1e-12,
    1 - 1e-6,
    1 + 1e-6,
    0.999,
    1.001,
    0.99,
    1.01,
    0.5,
    2.0,
    0.25,
    4.0,
    16.0,
    1e3,
    1e-3,
    -1.0,
)
STEPS = (-64, -16, -8, -2, -1, 1, 2, 8, 16, 64)

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
class Specification:
    """A circuit's two public descriptions, as a client gets them."""

    name: str
    circuit: dict[str, Any]
    client_specs: dict[str, Any]

    def take(self, client_specs: bytes) -> CircuitSpec:
        """Return what a client makes of the circuit with another specification; its key set's name follows, as a service's would.

        Raises:
            CryptmlError: If it refuses.
        """
        from cryptml.files import sha256

        return CircuitSpec.from_json({**self.circuit, "key_set": sha256(client_specs)}, client_specs)


@dataclass
class Tally:
    """What came of the values that one field was given."""

    tried: int = 0
    refused: int = 0
    same: int = 0
    harmless: int = 0
    undecided: list[str] = field(default_factory=list)


def recorded() -> list[Specification]:
    """Return the recorded specifications, by name."""
    found = []
    for path in sorted(RECORDED.glob("*.json")):
        document = json.loads(path.read_text())
        found.append(Specification(path.stem, document["circuit"], document["client_specs"]))
    return found


def leaves(document: Any, path: Path_ = ()) -> Iterator[tuple[Path_, int | float]]:
    """Yield every number of a document with the way to it."""
    members: Iterable[tuple[str | int, Any]]
    if isinstance(document, dict):
        members = document.items()
    elif isinstance(document, list):
        members = enumerate(document)
    else:
        if isinstance(document, (int, float)) and not isinstance(document, bool):
            yield path, document
        return
    for name, value in members:
        yield from leaves(value, (*path, name))


def mutations(value: float) -> list[str]:
    """Return what a number is changed to, as it stands in JSON; each once, and not what it is already."""
    changed = list(EXTREMES)
    changed += [repr(value * factor) for factor in FACTORS]
    if isinstance(value, int):
        changed += [str(value + step) for step in STEPS] + [str(int(value * factor)) for factor in FACTORS]
    return [each for each in dict.fromkeys(changed) if each != json.dumps(value)]


def changed(document: Any, tokens: Mapping[Path_, str]) -> bytes:
    """Return a document's JSON with numbers replaced by tokens, whatever these are."""
    again = json.loads(json.dumps(document))
    for number, path in enumerate(tokens):
        inner = again
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = f"{PLACE}{number}"
    text = json.dumps(again)
    for number, token in enumerate(tokens.values()):
        text = text.replace(json.dumps(f"{PLACE}{number}"), token)
    return text.encode()


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


class Trial:
    """Tries changes on specifications and keeps count by field."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self._measured: dict[str, bool] = {}

    def change(self, specification: Specification, change: Change) -> None:
        """Try one change."""
        tally = self.tallies.setdefault(change.field, Tally())
        tally.tried += 1
        data = changed(specification.client_specs, change.tokens)
        try:
            taken = specification.take(data)
        except CryptmlError:
            tally.refused += 1
            return
        native = json.loads(taken.parameters.native)
        if native == specification.client_specs:
            tally.same += 1
            return
        if all(self._is_noise_right(native, key) for key in sorted(set(map(_about, change.tokens)), key=str)):
            tally.harmless += 1
        else:
            said = ", ".join(f"{'.'.join(map(str, path))} = {token}" for path, token in change.tokens.items())
            tally.undecided.append(f"{specification.name} {said}")

    def _is_noise_right(self, native: dict[str, Any], key: Path_) -> bool:
        """Measure the noise of an evaluation key, or of the input; what was measured already is not again."""
        about = native["keyset"][key[0]][key[1]] if key else native["circuits"][0]["inputs"]
        mark = json.dumps([about, native["keyset"]["lweSecretKeys"]])
        if mark not in self._measured:
            noise = measure_key(native, *key) if key else measure_input(native)
            self._measured[mark] = noise.is_right
        return self._measured[mark]

    def table(self) -> str:
        """Return the counts as rows of Markdown."""
        lines = ["| field | values | refused | the same number | harmless | undecided |", "|---|---|---|---|---|---|"]
        for name, tally in self.tallies.items():
            counts = (tally.tried, tally.refused, tally.same, tally.harmless, len(tally.undecided))
            lines.append(
                f"| {name if ' ' in name else f'`{name}`'} | " + " | ".join(f"{count:,}" for count in counts) + " |"
            )
        total = [
            sum(getattr(each, name) for each in self.tallies.values())
            for name in ("tried", "refused", "same", "harmless")
        ]
        lines.append(f"| all | {' | '.join(f'{count:,}' for count in total)} | {len(self.undecided)} |")
        return "\n".join(lines)

    @property
    def undecided(self) -> list[str]:
        """Changes that were taken and are not harmless."""
        return [each for tally in self.tallies.values() for each in tally.undecided]


def _about(path: Path_) -> Path_:
    """Return which evaluation key a number belongs to; the input, which is under a secret key, where it is none's."""
    return path[1:3] if path[0] == "keyset" and path[1] != "lweSecretKeys" else ()


def record() -> None:
    """Build the shipped networks and keep their circuits' descriptions."""
    from cryptml.bundle import ClientBundle
    from cryptml.bundle.build import build_bundle
    from cryptml.fhe.backends.integer import compile_integer_program
    from cryptml.networks import load_network
    from cryptml.networks.shipped import DEFAULT_SPLITS
    from cryptml.splits import Split

    RECORDED.mkdir(parents=True, exist_ok=True)
    for name, (network, split, share) in RECORDED_SPLITS.items():
        with tempfile.TemporaryDirectory() as folder:
            built = build_bundle(
                load_network(network),
                Split(split or DEFAULT_SPLITS[network]),
                Path(folder) / "bundle",
                backend=compile_integer_program,
                share_keys=share,
            )
            for step in ClientBundle.load(built.folder / "client").server_steps:
                document = {"circuit": step.circuit.to_json(), "client_specs": json.loads(step.circuit.client_specs)}
                (RECORDED / f"{name}-{step.index}.json").write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Try every change, print the counts and fail where one is undecided."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--record", action="store_true", help="build the shipped networks and record their specifications anew"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of all changes that are tried, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.record:
        record()
        return
    console = Console(stderr=True)
    generator = random.Random(options.seed)
    trial = Trial()
    every = [
        (specification, change)
        for specification in recorded()
        for change in (*single_changes(specification.client_specs), *joint_changes(specification.client_specs))
        if generator.random() < options.share
    ]
    for specification, change in track(every, "changing numbers", console=console):
        trial.change(specification, change)
    sys.stdout.write(trial.table() + "\n")
    for each in trial.undecided:
        sys.stdout.write(f"undecided: {each}\n")
    names = Counter(specification.name for specification, _ in every)
    sys.stdout.write(f"{len(names)} specifications: {', '.join(names)}\n")
    sys.exit(1 if trial.undecided else 0)


if __name__ == "__main__":
    main()
