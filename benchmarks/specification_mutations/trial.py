"""Changed specifications, given to the client and counted by field."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from benchmarks.json_changes import Path_, changed
from benchmarks.key_noise import measure_input, measure_key
from benchmarks.specification_mutations.changes import Change
from benchmarks.specification_mutations.specification import Specification
from cryptml.errors import CryptmlError


@dataclass
class Tally:
    """What came of the values that one field was given."""

    tried: int = 0
    refused: int = 0
    same: int = 0
    harmless: int = 0
    undecided: list[str] = field(default_factory=list)


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

    def _is_noise_right(self, native: dict[str, Any], key: tuple[str, int] | None) -> bool:
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


def _about(path: Path_) -> tuple[str, int] | None:
    """Return which evaluation key a number belongs to; none where it is the input's, which is under a secret key."""
    if path[0] != "keyset" or path[1] == "lweSecretKeys":
        return None
    return str(path[1]), int(path[2])
