"""What a scan keeps of the answer for one square of a mammogram."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptml.errors import ImageError, JournalError
from cryptml.images import Region
from cryptml_client.prediction import Prediction


@dataclass(frozen=True)
class TileAnswer:
    """The decrypted answer for a square, and what it cost.

    Attributes:
        region: In pixels of the original.
        label: The most probable class.
        probabilities: Of every class, each in [0, 1].
        milliseconds: From the pixels to the answer.
        upload_bytes: Ciphertext sent.
        download_bytes: Ciphertext received.
    """

    region: Region
    label: str
    probabilities: tuple[float, ...]
    milliseconds: float
    upload_bytes: int
    download_bytes: int

    @staticmethod
    def of(region: Region, prediction: Prediction) -> TileAnswer:
        """Keep what a scan needs of a prediction."""
        return TileAnswer(
            region,
            prediction.answer.label,
            tuple(round(float(each), 6) for each in prediction.answer.probabilities),
            round(prediction.answer.timings.total, 1),
            prediction.upload_bytes,
            prediction.download_bytes,
        )

    @property
    def positive_probability(self) -> float:
        """Probability of any class but the first, which is the normal one."""
        return min(1.0, max(0.0, 1.0 - self.probabilities[0]))

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {
            "x": self.region.x,
            "y": self.region.y,
            "size": self.region.size,
            "label": self.label,
            "probabilities": list(self.probabilities),
            "milliseconds": self.milliseconds,
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any], classes: tuple[str, ...]) -> TileAnswer:
        """Read what `to_json` wrote, from a file that anything may have happened to.

        Raises:
            JournalError: If it is not such an answer.
        """
        try:
            answer = TileAnswer(
                Region(data["x"], data["y"], data["size"]),
                str(data["label"]),
                tuple(float(each) for each in data["probabilities"]),
                float(data["milliseconds"]),
                int(data["upload_bytes"]),
                int(data["download_bytes"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError, ImageError) as error:
            raise JournalError("an answer of the interrupted scan is damaged; scan again without --resume") from error
        sound = all(0 <= each <= 1 for each in answer.probabilities) and 0 <= answer.milliseconds < math.inf
        if not sound or len(answer.probabilities) != len(classes) or answer.label not in classes:
            raise JournalError("an answer of the interrupted scan contradicts itself; scan again without --resume")
        return answer
