"""Many pictures, from files and studies to answers: which of them are meant, what came of each, and whether it is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptml.bundle import ClientBundle
from cryptml.errors import CryptmlError, ImageError, RangeError, ServiceError, SettingError
from cryptml.images import FrameChoice, Image, Region, central_region, crop, load_frames
from cryptml.images.study import ViewChoice
from cryptml.listening import Listener
from cryptml.networks import FloatArray, Network
from cryptml.networks.rounding.envelope import matches_clear
from cryptml_client.client import Client
from cryptml_client.jobs import JobBook
from cryptml_client.prediction import Prediction


def require_same_network(expected: Network, bundle: ClientBundle) -> None:
    """Refuse to compare answers with another network than the one that a service offers, as far as a client can tell them apart.

    Args:
        expected: In the clear.
        bundle: What the service offers.

    Raises:
        SettingError: If its name, its classes, its front end or its number of layers differ; weights of layers on the server cannot be
            compared.
    """
    sides = [
        ("name", expected.name, bundle.model),
        ("classes", ", ".join(expected.classes), ", ".join(bundle.classes)),
        ("front end", expected.front_end.description, bundle.front_end.description),
        ("number of layers", str(len(expected)), str(len(bundle.split.letters))),
    ]
    differing = [f"{what} ({mine[:80]}; there {theirs[:80]})" for what, mine, theirs in sides if mine != theirs]
    if differing:
        raise SettingError(
            f"network {expected.name} is not the one that the service offers as {bundle.model}: it differs in {', '.join(differing)}; "
            "give `clear_check` the network that was deployed"
        )


@dataclass(frozen=True)
class PictureRequest:
    """Which pictures are meant.

    Attributes:
        paths: Pictures, folders of a study, DICOMDIRs.
        frames: Of a file with several; None where each is to hold one.
        views: Of a study.
        region: What to look at of each; the largest centred square if None.
    """

    paths: Sequence[Path]
    frames: FrameChoice | None = None
    views: ViewChoice = field(default_factory=ViewChoice)
    region: Region | None = None


@dataclass(frozen=True, eq=False)
class AskedPicture:
    """One picture to ask about, held by the clinic alone.

    Attributes:
        file: That holds it.
        frame: Of the file, from 1; None where the file holds one picture, or one was made of several.
        square: float32 (side, side), values in [0, 1]; or why there is none.
        source: How the picture was encoded; empty where there is none.
    """

    file: Path
    frame: int | None
    square: FloatArray | ImageError
    source: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return self.file.name if self.frame is None else f"{self.file.name}, frame {self.frame}"


@dataclass(frozen=True, eq=False)
class PictureAnswer:
    """What came of one picture.

    Attributes:
        asked: The picture.
        outcome: The answer; or why there is none, or no right one to compare with.
        approximate: Whether a circuit rounds approximately, so that the answer may differ from the clear one by what that changes.
        matches_clear: Whether the answer is the network's in the clear, up to rounding; None where it was not compared.
    """

    asked: AskedPicture
    outcome: Prediction | CryptmlError
    approximate: bool
    matches_clear: bool | None = None

    @property
    def as_it_should_be(self) -> bool:
        """Whether there is an answer, and nothing speaks against it."""
        return isinstance(self.outcome, Prediction) and self.matches_clear is not False

    def to_json(self) -> dict[str, Any]:
        """Return the answer, or the error in words, as JSON values."""
        named = {"image": str(self.asked.file), "frame": self.asked.frame}
        if not isinstance(self.outcome, Prediction):
            return {**named, "error": str(self.outcome)}
        return {
            **named,
            "source": self.asked.source,
            **self.outcome.to_json(),
            "approximate": self.approximate,
            "matches_clear": self.matches_clear,
        }


def read_pictures(request: PictureRequest, side: int, listener: Listener | None = None) -> Iterator[AskedPicture]:
    """Read the pictures that are meant, in the order of their paths; one that cannot be read stands there with its error.

    Args:
        request: Which pictures.
        side: Rows and columns that the network takes.
        listener: Hears how many files of a study have been looked at.
    """
    for path in request.paths:
        try:
            files = request.views.files(path, listener)
        except ImageError as error:
            yield AskedPicture(path, None, error)
            continue
        for file in files:
            yield from _read_file(file, request, side)


def _read_file(file: Path, request: PictureRequest, side: int) -> Iterator[AskedPicture]:
    try:
        for frame, picture in load_frames(file, request.frames):
            yield AskedPicture(file, frame, _square(picture, request.region, side), picture.source)
    except ImageError as error:
        yield AskedPicture(file, None, error)


def _square(picture: Image, region: Region | None, side: int) -> FloatArray | ImageError:
    try:
        return crop(picture, region or central_region(picture), side)
    except ImageError as error:
        return error


def answer_pictures(
    client: Client,
    pictures: Iterable[AskedPicture],
    *,
    in_flight: int = 1,
    expected: Network | None = None,
    jobs: Callable[[int], JobBook] | None = None,
    waiting: Callable[[ServiceError], None] | None = None,
) -> Iterator[PictureAnswer]:
    """Ask about pictures, and give what came of each in their order.

    A picture that cannot be read, or lies too far from what the network was calibrated for, does not keep the others from their
    answers; nothing is sent where there is none to ask about.

    Args:
        client: Of the service; its keys are made or found before the first answer.
        pictures: As `read_pictures` gives them.
        in_flight: That are asked about at once, 1 to `cryptml_client.client.MOST_IN_FLIGHT`.
        expected: The network that the service should evaluate, in the clear, to compare each answer with.
        jobs: Of the pictures that can be read, by their places from 0; see `Client.predict_regions`.
        waiting: Told why, each time that the service is waited for.

    Raises:
        CryptmlError: If an answer failed for a reason that the next one would fail for too, or as `Client.prepare`.
    """
    asked = list(pictures)
    squares = [each.square for each in asked if not isinstance(each.square, ImageError)]
    answers = client.predict_regions(squares, in_flight=in_flight, jobs=jobs, waiting=waiting) if squares else iter(())
    approximate = any(step.circuit.approximate for step in client.bundle.server_steps)
    for each in asked:
        outcome = each.square if isinstance(each.square, ImageError) else next(answers)
        if isinstance(outcome, CryptmlError) and not isinstance(outcome, (ImageError, RangeError)):
            raise outcome
        yield _compared(PictureAnswer(each, outcome, approximate), client, expected)


def _compared(found: PictureAnswer, client: Client, expected: Network | None) -> PictureAnswer:
    square, outcome = found.asked.square, found.outcome
    if expected is None or isinstance(square, ImageError) or not isinstance(outcome, Prediction):
        return found
    try:
        same = matches_clear(expected, square, client.bundle.split, outcome.answer.integers)
    except RangeError as error:
        return PictureAnswer(found.asked, error, found.approximate)
    return PictureAnswer(found.asked, outcome, found.approximate, same)
