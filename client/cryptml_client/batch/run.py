"""A run over many pictures that can be interrupted: answers are kept as they come, and asked for once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.errors import CryptmlError, ImageError, JournalError, ServiceError, SettingError
from cryptml.files import sha256, write_bytes
from cryptml.journal import Journal
from cryptml.listening import Listener, SilentListener
from cryptml.networks import Network
from cryptml_client.asking import AskedPicture, answer_pictures
from cryptml_client.batch.settings import RunSettings
from cryptml_client.batch.table import answers_csv
from cryptml_client.client import Client
from cryptml_client.trust.spot_checking import SpotCheckFailed

PRIVATE = 0o600
"""Answers tell of persons: they are for their owner's eyes alone."""


class RunStopped(CryptmlError):
    """A run ended before all was answered; it says what is kept, and how to go on."""


@dataclass(frozen=True, eq=False)
class RunAnswer:
    """What came of one picture of a run.

    Attributes:
        asked: The picture.
        document: Its answer, or ``error``, as `cryptml_client.asking.PictureAnswer.to_json` gives it.
        kept: Whether it was answered by an earlier run.
    """

    asked: AskedPicture
    document: Mapping[str, Any]
    kept: bool = False

    @property
    def as_it_should_be(self) -> bool:
        """Whether there is an answer, and nothing speaks against it."""
        return "error" not in self.document and self.document["matches_clear"] is not False


class Run:
    """Asks about pictures, keeping each answer on disk as it comes.

    Args:
        client: Of the service; its keys are made or found before the journal is begun.
        pictures: As `cryptml_client.asking.read_pictures` gives them.
        settings: See `RunSettings`.
        expected: The network that the service should evaluate, in the clear, to compare each answer with.
        listener: Hears that the service is waited for, and the names of jobs.
    """

    def __init__(
        self,
        client: Client,
        pictures: Sequence[AskedPicture],
        settings: RunSettings,
        *,
        expected: Network | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._client = client
        self._pictures = pictures
        self._settings = settings
        self._expected = expected
        self._listener = listener if listener is not None else SilentListener()
        self._readable = sum(not isinstance(each.square, ImageError) for each in pictures)
        self._answered = 0
        self._away = False

    def answers(self) -> Iterator[RunAnswer]:
        """Give what came of each picture, in order; those of an interrupted run are not asked about again.

        Once all are given the table is written, and the journal removed.

        Raises:
            JournalError: If there is a journal and the run is not to go on with it, or it belongs to another model or other choices.
            RunStopped: If an answer failed for a reason that the next one would fail for too, with what is kept.
            KeyboardInterrupt: With what is kept.
            SpotCheckFailed: If the service is found out; the answers so far are thrown away.
            CryptmlError: As `Client.prepare`, or if the table cannot be written.
        """
        self._settings.require_possible()
        if self._readable and not self._client.prepared:
            self._client.prepare()
        documents = []
        for found in self._kept_or_asked():
            documents.append(found.document)
            yield found
        self._write(documents)
        if self._settings.kept_in is not None:
            self._settings.kept_in.unlink(missing_ok=True)

    def _kept_or_asked(self) -> Iterator[RunAnswer]:
        path = self._settings.kept_in
        if path is None:
            yield from self._ask(None)
            return
        head = {
            "format": "cryptml-predict",
            "format_version": 1,
            "bundle": self._client.bundle.digest,
            **(self._settings.choices or {}),
        }
        with Journal(path, head, resume=self._settings.resume) as journal:
            yield from self._ask(journal)

    def _ask(self, journal: Journal | None) -> Iterator[RunAnswer]:
        names = [_name(each) for each in self._pictures]
        kept = {} if journal is None else {name: journal.get(name) for name in names if journal.get(name) is not None}
        rest = [(name, each) for name, each in zip(names, self._pictures, strict=True) if name not in kept]
        readable = [(name, each.name) for name, each in rest if not isinstance(each.square, ImageError)]
        books = _Books(journal, readable, self._listener) if journal is not None and self._settings.background else None
        answers = answer_pictures(
            self._client,
            [each for _, each in rest],
            in_flight=self._settings.in_flight,
            expected=self._expected,
            jobs=books.of if books is not None else None,
            waiting=self._wait,
        )
        try:
            for name, each in zip(names, self._pictures, strict=True):
                if name in kept:
                    found = RunAnswer(each, _checked(kept[name], each, self._settings.kept_in), kept=True)
                else:
                    found = RunAnswer(each, next(answers).to_json())
                if not isinstance(each.square, ImageError):
                    self._answered += 1
                    self._away = False
                    if journal is not None and not found.kept:
                        journal.record(name, dict(found.document))
                yield found
        except SpotCheckFailed:  # none of the answers is one to go on from
            if self._settings.kept_in is not None:
                self._settings.kept_in.unlink(missing_ok=True)
            raise
        except JournalError:
            raise
        except CryptmlError as error:
            raise RunStopped(f"{str(error).rstrip('.')}; {self._left}") from error
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._left) from None

    def _wait(self, error: ServiceError) -> None:
        if not self._away:
            self._away = True
            self._listener.note(f"{error}; the service is waited for, and asked again until `patience` is over")

    @property
    def _left(self) -> str:
        count = f"{self._answered} of {self._readable} pictures are answered"
        path = self._settings.kept_in
        if path is None:
            return f"{count}, and none is kept: with `csv` or `journal` answers are, and `resume` goes on from there"
        return f"{count} and kept in {path}: the same command with `resume` asks for the rest"

    def _write(self, documents: Sequence[Mapping[str, Any]]) -> None:
        if self._settings.csv is None:
            return
        data = answers_csv(documents, self._client.bundle.classes, compared=self._expected is not None)
        try:
            write_bytes(self._settings.csv, data, mode=PRIVATE)
        except OSError as error:
            raise SettingError(
                f"{self._settings.csv} cannot be written ({error.strerror}); all answers are kept in {self._settings.kept_in}: `resume` "
                "writes them once it can be"
            ) from error


class _Books:
    """The jobs of a run's pictures, in its journal."""

    def __init__(self, journal: Journal, names: Sequence[tuple[str, str]], listener: Listener) -> None:
        self._journal = journal
        self._names = names
        self._listener = listener
        self._alone = threading.Lock()

    def of(self, place: int) -> _Book:
        """Return the book of the picture that is asked about at a place."""
        return _Book(self, *self._names[place])

    def find(self, name: str) -> str | None:
        with self._alone:
            job = self._journal.get(name)
        return job if isinstance(job, str) else None

    def note(self, name: str, job: str, picture: str) -> None:
        with self._alone:
            self._journal.record(name, job)
            self._listener.remark(f"job {job}: {picture}")


@dataclass(frozen=True)
class _Book:
    books: _Books
    picture: str
    shown: str

    def find(self, segment: int) -> str | None:
        return self.books.find(f"job {segment} {self.picture}")

    def note(self, segment: int, job: str) -> None:
        self.books.note(f"job {segment} {self.picture}", job, self.shown)


def _name(asked: AskedPicture) -> str:
    """Return a picture's name in a journal: of what was asked, so that a file that was changed is asked about again."""
    if isinstance(asked.square, ImageError):
        return f"unreadable {asked.frame or ''}:{asked.file}"
    return f"{sha256(asked.square.tobytes())} {asked.frame or ''}:{asked.file}"


def _checked(document: Any, asked: AskedPicture, journal: Path | None) -> Mapping[str, Any]:
    whole = isinstance(document, dict) and (
        "error" in document
        or {"label", "probability", "probabilities", "matches_clear", "split", "source"} <= set(document)
    )
    if not whole:
        raise JournalError(f"{journal} is damaged: {asked.name} holds no answer; delete the file to begin again")
    return {**document, "image": str(asked.file), "frame": asked.frame}
