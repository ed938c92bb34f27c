"""A whole picture, asked about square by square, several on their way at once; what is answered is on disk at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.errors import CryptmlError, ImageError, JournalError, RangeError
from cryptml.files import sha256
from cryptml.images import Image, Region, crop
from cryptml.journal import Journal
from cryptml_client.client import Client
from cryptml_client.prediction import Prediction
from cryptml_client.trust.spot_checking import SpotCheckFailed

IN_FLIGHT = 4
"""Squares asked about at once: two that are evaluated by two workers, and two that are ready when these are."""

MOST_BYTES = 1 << 50
MOST_MILLISECONDS = 1e12


@dataclass(frozen=True)
class TileAnswer:
    """The decrypted answer for a square, and what it cost.

    Attributes:
        region: In pixels of the original.
        probabilities: Of every class of the network, in its order, each in [0, 1]; empty where the decrypted answer could not be, because
            the square lies too far from what the network was calibrated for.
        milliseconds: From the pixels to the answer.
        upload_bytes: Ciphertext sent.
        download_bytes: Ciphertext received.
    """

    region: Region
    probabilities: tuple[float, ...]
    milliseconds: float
    upload_bytes: int
    download_bytes: int

    @staticmethod
    def of(region: Region, prediction: Prediction) -> TileAnswer:
        """Keep what a scan needs of a prediction."""
        return TileAnswer(
            region,
            tuple(round(float(each), 6) for each in prediction.answer.probabilities),
            round(prediction.answer.timings.total, 1),
            prediction.upload_bytes,
            prediction.download_bytes,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON values, without its region."""
        return {
            "probabilities": list(self.probabilities),
            "milliseconds": self.milliseconds,
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
        }

    @staticmethod
    def from_json(region: Region, data: Any, classes: int) -> TileAnswer:
        """Read what `to_json` wrote, from a file that anything may have happened to.

        Raises:
            ValueError: If it is not an answer of a network with so many classes.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("probabilities"), list):
            raise ValueError("not an answer")  # noqa: TRY004 - one error for every kind of damage
        probabilities = tuple(_number(each, 1) for each in data["probabilities"])
        if probabilities and len(probabilities) != classes:
            raise ValueError("probabilities of another network")
        return TileAnswer(
            region,
            probabilities,
            _number(data.get("milliseconds"), MOST_MILLISECONDS),
            int(_number(data.get("upload_bytes"), MOST_BYTES)),
            int(_number(data.get("download_bytes"), MOST_BYTES)),
        )


def _number(value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise ValueError("a value out of its bounds")
    return value


class Scan:
    """Asks about squares of one picture, and goes on where it was when it is made again.

    While the service evaluates, the next squares are encrypted and sent, so that neither waits for the other.

    Nothing of the picture is sent, and no file made, before the first answer is asked for.

    Args:
        client: Of the service. Its keys are made or found before the first square.
        image: The picture.
        regions: Its squares, all of one size, as `cryptml.images.tile_breast` gives them.
        journal: File that holds the answers so far, readable by its owner alone.
        resume: Whether to go on with an existing journal.
        in_flight: Squares that are asked about at once, 1 to `cryptml_client.client.MOST_IN_FLIGHT`; a scan that breaks off loses the
            answers to at most so many.

    Raises:
        ImageError: If there is no square, or they are smaller than what the network takes.
        CryptmlError: As `Client.bundle`.
    """

    def __init__(
        self,
        client: Client,
        image: Image,
        regions: Sequence[Region],
        journal: Path,
        *,
        resume: bool = False,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._client = client
        self._image = image
        self._regions = tuple(regions)
        self._path = journal
        self._resume = resume
        self._in_flight = in_flight
        if not self._regions:
            raise ImageError("a scan of no squares was asked for; give at least one")
        side, smallest = client.bundle.front_end.side, min(region.size for region in self._regions)
        if smallest < side:
            raise ImageError(
                f"squares of {smallest} pixels are smaller than the {side} pixels that the network takes; choose squares of {side} or more"
            )

    @property
    def journal(self) -> Path:
        """The file that holds the answers so far."""
        return self._path

    @property
    def total(self) -> int:
        """Squares in all, answered or not."""
        return len(self._regions)

    def answers(self) -> Iterator[TileAnswer]:
        """Give the answer for every square in their order; those of an interrupted scan are not asked again.

        Raises:
            JournalError: If there is a journal and the scan is not to go on with it, or it belongs to another scan or is damaged.
            SpotCheckFailed: If the service is found out; the answers so far are thrown away.
            CryptmlError: Otherwise as `Client.prepare` and `Client.predict_region`; the answers so far are kept.
        """
        bundle = self._client.bundle
        if not self._client.prepared:
            self._client.prepare()  # before the journal: a scan that fails here has not begun
        head = {
            "format": "cryptml-scan",
            "format_version": 1,
            "picture": sha256(self._image.pixels.tobytes()),
            "bundle": bundle.digest,
            "squares": sha256(" ".join(map(str, self._regions)).encode()),
        }
        impossible: RangeError | None = None
        with Journal(self._path, head, resume=self._resume) as journal:
            left = [region for region in self._regions if journal.get(str(region)) is None]
            squares = (crop(self._image, region, bundle.front_end.side) for region in left)
            # A service that goes away is waited for.
            found = self._client.predict_regions(squares, in_flight=self._in_flight)
            for region in self._regions:
                entry = journal.get(str(region))
                if entry is not None:
                    yield self._known(region, entry)
                    continue
                outcome = next(found)
                if isinstance(outcome, SpotCheckFailed):
                    self.discard()  # none of the answers is one to go on from
                    raise outcome
                if isinstance(
                    outcome, RangeError
                ):  # the next is asked all the same: a service could learn from who stops
                    impossible = impossible or outcome
                    answer = TileAnswer(region, (), 0.0, 0, 0)
                elif isinstance(outcome, CryptmlError):
                    raise outcome
                else:
                    answer = TileAnswer.of(region, outcome)
                journal.record(str(region), answer.to_json())
                yield answer
        if impossible is not None and not any(step.circuit.approximate for step in bundle.server_steps):
            raise impossible  # such a network has no range to leave

    def discard(self) -> None:
        """Remove the journal: the answers are elsewhere, or not wanted any more."""
        self._path.unlink(missing_ok=True)

    def _known(self, region: Region, entry: Any) -> TileAnswer:
        try:
            return TileAnswer.from_json(region, entry, len(self._client.bundle.classes))
        except ValueError as error:
            raise JournalError(
                f"{self._path} is damaged: square {region} holds {error}; delete the file to begin again"
            ) from error
