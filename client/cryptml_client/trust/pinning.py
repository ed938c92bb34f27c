"""Which client bundles are taken: a clinic compares a model's digest once, and a changed model is refused until it is accepted too.

Without that a service, or whoever stands in its place, could hand out another model tomorrow. What was accepted is a line in a file of the
clinic's; by default it lies beside the keys, for one folder of keys is one identity.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptml.bundle import ClientBundle, ClientStep
from cryptml.bundle.manifest import grouped
from cryptml.errors import BundleError, SettingError, printable
from cryptml.fhe.settings import power
from cryptml.files import parse_json, read_bounded, to_json_bytes, write_bytes

FILE = "accepted-bundles.json"
SCHEMA = "accepted-bundles.schema.json"
MAX_FILE_BYTES = 1 << 20
MOST_ACCEPTED = 1000

LEAST_DIGITS = 32
"""Hexadecimal digits of a digest that somebody gives: 128 bits, too many to make a second bundle for another's digest. A provider
could make two of its own with 2^64 tries, so one that was accepted is not exchanged for another with the same first digits."""

LOCK = ".accepted-bundles.lock"

REFUSED = "refused"


class UnacceptedBundle(BundleError):
    """A service offers a bundle that was not accepted, or another one than was.

    Attributes:
        digest: Of what it offers, SHA-256 in hexadecimal.
        known: Of what was accepted before; None at the first use.
    """

    def __init__(self, message: str, digest: str, known: str | None) -> None:
        self.digest = digest
        self.known = known
        super().__init__(message)


@dataclass(frozen=True)
class Accepted:
    """A model of a service that was accepted.

    Attributes:
        service: Its address.
        model: Its name there.
        digest: Of the client bundle, SHA-256 in hexadecimal.
        how: ``compared`` by a person or with a digest given, ``first-use``, or ``refused`` since a spot check failed.
        accepted_at: ISO 8601, UTC.
    """

    service: str
    model: str
    digest: str
    how: str
    accepted_at: str


Confirm = Callable[[ClientBundle, str | None], bool]
"""Asks a person whether a bundle is the provider's; is told the digest that was accepted before, None at the first use."""


class AcceptedBundles:
    """The file of accepted bundles; readable by its owner alone.

    Args:
        file: JSON; it need not exist.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def entries(self) -> list[Accepted]:
        """Return what was accepted, in the order in which it was.

        Raises:
            SettingError: If the file is damaged.
        """
        if not self.file.exists():
            return []
        data = read_bounded(self.file, MAX_FILE_BYTES, SettingError)
        document = parse_json(data, SCHEMA, f"the file of accepted bundles {self.file}", SettingError)
        return [Accepted(**entry) for entry in document["accepted"]]

    def find(self, service: str, model: str) -> Accepted | None:
        """Return what was accepted for a model of a service.

        Raises:
            SettingError: As `entries`.
        """
        return next((each for each in self.entries() if (each.service, each.model) == (service, model)), None)

    def accept(self, service: str, model: str, digest: str, how: str) -> None:
        """Write down that a bundle is accepted, in place of another one of the same model.

        Raises:
            SettingError: If the file is damaged, full, or cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._alone():
            others = [each for each in self.entries() if (each.service, each.model) != (service, model)]
            if len(others) >= MOST_ACCEPTED:
                raise SettingError(f"{self.file} holds {len(others)} accepted bundles already; forget some of them")
            self._write([*others, Accepted(service, model, digest, how, now)])

    def forget(self, service: str, model: str | None = None) -> int:
        """Remove what was accepted of a service, or of one of its models, and return how many there were.

        Raises:
            SettingError: As `accept`.
        """
        with self._alone():
            every = self.entries()
            kept = [each for each in every if each.service != service or (model is not None and each.model != model)]
            if len(kept) < len(every):
                self._write(kept)
        return len(every) - len(kept)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other programs from writing between a look at the file and its change."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self.file.parent / LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise SettingError(
                f"{self.file} cannot be written ({error.strerror}); choose a folder that this user can write"
            ) from error

    def _write(self, accepted: list[Accepted]) -> None:
        document = {
            "format": "cryptml-accepted-bundles",
            "format_version": 1,
            "accepted": [vars(each) for each in accepted],
        }
        write_bytes(self.file, to_json_bytes(document), mode=0o600)


class Pinning:
    """Decides whether a bundle is taken.

    Args:
        accepted: What was.
        accept_digest: Of the bundle that is to be accepted, as the provider told it: hexadecimal, `LEAST_DIGITS` digits or more from its
            beginning, spaces between them or not.
        trust_first_use: Whether to accept whatever a service offers the first time, and nothing else after it.
        confirm: Asks a person; None where there is nobody to ask.

    Raises:
        SettingError: If the digest is none.
    """

    def __init__(
        self,
        accepted: AcceptedBundles,
        *,
        accept_digest: str | None = None,
        trust_first_use: bool = False,
        confirm: Confirm | None = None,
    ) -> None:
        self._accepted = accepted
        self._digits = None if accept_digest is None else _digits(accept_digest)
        self._trust_first_use = trust_first_use
        self._confirm = confirm

    def require_accepted(self, service: str, bundle: ClientBundle, *, named: bool = True) -> None:
        """Return where a bundle is accepted, now or before.

        Args:
            service: Its address.
            bundle: What it offers.
            named: Whether the client asked for that model by its name. Where the service chose the name, another name than that of a model
                accepted before is a change, not a first use.

        Raises:
            UnacceptedBundle: If it is not, or its service failed a spot check; nothing of it may be used.
            SettingError: If what is accepted cannot be read or written.
        """
        entry = self._accepted.find(service, bundle.model)
        if entry is None and not named:
            entry = next((each for each in reversed(self._accepted.entries()) if each.service == service), None)
        known = entry.digest if entry else None
        if entry is not None and entry.how == REFUSED and known == bundle.digest:
            raise UnacceptedBundle(_failure(service, entry.model), bundle.digest, known)
        if self._digits is not None:
            if known != bundle.digest and known is not None and known.startswith(self._digits):
                raise UnacceptedBundle(
                    f"two bundles of {service} have digests that begin with the digits given, {grouped(known)} and "
                    f"{grouped(bundle.digest)}; somebody made them so: do not use it",
                    bundle.digest,
                    known,
                )
            if not bundle.digest.startswith(self._digits):
                raise UnacceptedBundle(
                    f"the digest of model {bundle.model!r} at {service} is {grouped(bundle.digest)}, not the one that was given; ask the "
                    "provider, and do not use it",
                    bundle.digest,
                    known,
                )
            how = "compared"
        elif known == bundle.digest:
            return
        elif known is None and self._trust_first_use:
            how = "first-use"
        elif self._confirm is not None and self._confirm(bundle, known):
            how = "compared"
        else:
            raise UnacceptedBundle(_refusal(service, bundle, known), bundle.digest, known)
        if entry is None or (entry.digest, entry.how, entry.model) != (bundle.digest, how, bundle.model):
            self._accepted.accept(service, bundle.model, bundle.digest, how)

    def refuse(self, service: str, bundle: ClientBundle) -> None:
        """Write down that a service failed a spot check: it is not asked any more, until somebody forgets that.

        Raises:
            SettingError: If that cannot be written.
        """
        self._accepted.accept(service, bundle.model, bundle.digest, REFUSED)


def describe_bundle(bundle: ClientBundle) -> list[tuple[str, str]]:
    """Return what a person sees of a bundle before it is accepted: names and values, fit for a terminal."""
    own = [layer for step in bundle.steps if isinstance(step, ClientStep) for layer in step.layers]
    circuits = [step.circuit for step in bundle.server_steps]
    side = bundle.front_end.side
    rows = [
        ("model", bundle.model),
        ("split", f"{bundle.split.letters} ({len(bundle.split.letters)} layers)"),
        ("layers that run here", ", ".join(layer.name for layer in own) or "none"),
        ("their parameters", f"{sum(layer.parameters for layer in own):,} integers"),
        ("front end", f"{bundle.front_end.kind}: a region of {side} x {side} pixels, {bundle.front_end.description}"),
        ("classes", ", ".join(bundle.classes)),
    ]
    for number, circuit in enumerate(circuits, 1):
        dimensions = ", ".join(map(str, circuit.parameters.dimensions))
        what = f"{circuit.segment}: {circuit.bootstraps} programmable bootstraps, secret keys of {dimensions} bits"
        rows.append((f"server segment {number}", f"{what}, p_error {power(circuit.p_error)}"))
    rows.append(("spot checks", str(len(bundle.spot_checks)) if bundle.spot_checks is not None else "none"))
    return [(name, printable(value)) for name, value in rows]


def _digits(text: str) -> str:
    digits = re.sub(r"[\s:]", "", text).lower()
    if not re.fullmatch(f"[0-9a-f]{{{LEAST_DIGITS},64}}", digits):
        raise SettingError(
            f"{text[:100]!r} is not a bundle's digest; give {LEAST_DIGITS} to 64 hexadecimal digits, as cryptml build prints them"
        )
    return digits


def _failure(service: str, model: str) -> str:
    return (
        f"model {model!r} at {service} failed a spot check: the service evaluates something else than its bundle; ask the provider, and "
        "forget the model (cryptml bundles forget) if it is to be asked all the same"
    )


def _refusal(service: str, bundle: ClientBundle, known: str | None) -> str:
    if known is None:
        return (
            f"model {bundle.model!r} at {service} was not used before, and its digest {grouped(bundle.digest)} was not accepted; compare "
            "it with the provider's by another channel, then give it (`accept_digest`), or trust the first use (`trust_first_use`)"
        )
    return (
        f"model {bundle.model!r} at {service} has changed: its digest is {grouped(bundle.digest)}, accepted was {grouped(known)}; ask the "
        "provider, and give the new digest (`accept_digest`) if it is right"
    )
