"""Every error that CRYPTML raises on purpose.

::

    CryptmlError
    ├── InputError                what a person handed in is not usable
    │   ├── ImageError            a picture or a region of one
    │   ├── DatasetError          a data set, its folder or its index
    │   ├── SplitError            an assignment of layers to client and server
    │   ├── NetworkError          a network that cannot be cut, saved or loaded; carries every problem
    │   ├── ReportError           a profile that cannot be read, or does not fit its network
    │   ├── JournalError          an interrupted run that cannot be continued
    │   └── SettingError          an option or setting out of its bounds
    ├── BundleError               files of a deployment: missing, altered, of another version
    ├── CircuitError              a segment that does not compile, or compiles to something else
    │   └── RangeError            a decrypted answer that cannot be: other keys, altered, or an input out of range
    ├── KeySetError               keys: missing, foreign, truncated, locked
    ├── CiphertextError           a ciphertext: foreign, truncated, malformed
    ├── MeasurementError          a measurement that failed, ran out of time or out of memory
    └── ServiceError              the far side of the wire, as the client sees it
        ├── ServiceUnavailable    nothing answers there
        ├── ServiceTimeout        it answers too slowly
        ├── ServiceProtocolError  it answers something that is not this protocol
        └── ServiceRefused        it answers with a problem document (carries status, title and kind)

Each message names what was wrong, the offending value, the bound it broke and what to do next, in one sentence. An attribute of a
request or a parameter of a call stands in it between backticks, such as `p_error`; the command line writes the option of that name
(`cryptml.cli.spelling`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_CHARACTERS = 2000
"""Of an error's sentence: those of the other side of a wire may be quoted in it."""


class CryptmlError(Exception):
    """Base of every error raised on purpose; its text is fit to be shown to a user: one line, printable, not without an end.

    What is quoted in it may come from a file or from another machine, whoever quotes it.
    """

    def __str__(self) -> str:
        # Of much more than is shown the rest is not even looked at.
        text = printable(" ".join(super().__str__()[: 8 * MOST_CHARACTERS].splitlines()))
        return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"


class InputError(CryptmlError):
    """Something that a person handed in is not usable."""


class ImageError(InputError):
    """A picture cannot be read, or a region does not lie inside it."""


class NoPicture(ImageError):
    """A file holds nothing that people look at: a document, a report, a list of files, raw values of a detector."""


class DatasetError(InputError):
    """A data set cannot be loaded or split with each patient's pictures together."""


class SplitError(InputError):
    """A split has the wrong length or letters."""


class ReportError(InputError):
    """A profile report is malformed, of another version, or of another network."""


class JournalError(InputError):
    """An interrupted run was not asked to continue, or cannot be."""


class SettingError(InputError):
    """An option or setting lies outside its bounds."""


@dataclass(frozen=True)
class Problem:
    """One reason why a network is refused.

    Attributes:
        where: The layer or module concerned, for example ``"conv1 (Conv2d)"``.
        what: What is wrong, with the value and the bound.
        instead: What to use or do in its place.
    """

    where: str
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.instead}"


class NetworkError(InputError):
    """A network cannot be cut, compiled, saved or loaded.

    Attributes:
        problems: Every reason found, not only the first; empty where one sentence says it all.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in self.problems)]))

    def __str__(self) -> str:
        return printable("\n".join(map(str, self.args)), lines=True) if self.problems else super().__str__()


class BundleError(CryptmlError):
    """A bundle's files are missing, altered, of another version or contradict each other."""


class CircuitError(CryptmlError):
    """A segment does not compile, or the circuit differs from the network."""


class RangeError(CircuitError):
    """A decrypted answer lies outside what its segment can give."""


class KeySetError(CryptmlError):
    """Keys are missing, foreign, truncated or locked by another passphrase."""


class CiphertextError(CryptmlError):
    """A ciphertext is foreign, truncated or malformed."""


class MeasurementError(CryptmlError):
    """A measurement failed, took too long or outgrew its memory limit."""


class ServiceError(CryptmlError):
    """The service did not give a usable answer."""


class ServiceUnavailable(ServiceError):
    """Nothing accepts connections at the given address."""


class ServiceTimeout(ServiceError):
    """The service did not answer in time."""


class ServiceProtocolError(ServiceError):
    """The answer is not of CRYPTML's protocol.

    Attributes:
        status: The HTTP status of an answer that is no success and no problem document of the service; None for what is wrong otherwise.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class ServiceRefused(ServiceError):
    """The service answered with a problem document.

    Attributes:
        status: The HTTP status, 400 to 599.
        title: The problem's short name, for people.
        kind: The problem's stable name, for programs: the last part of its ``type``; empty where the service says none.
        headers: Of the answer.
    """

    def __init__(
        self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, *, kind: str = ""
    ) -> None:
        self.status = status
        self.title = title
        self.kind = kind
        self.headers = headers if headers is not None else {}
        super().__init__(f"the service refused ({status} {title}): {detail}")


def counted(number: int, what: str) -> str:
    """Return a number with what is counted, which is a plural in ``s`` but for one: ``1 frame``, ``2 frames``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def printable(text: str, *, lines: bool = False) -> str:
    """Return text without control characters: it may come from a file's name or another machine, and go to a terminal.

    Args:
        text: Of any origin.
        lines: Whether line breaks stay.
    """
    return "".join(character for character in text if character.isprintable() or (lines and character == "\n"))


def said_by(error: BaseException) -> str:
    """Return what foreign code raised, for a sentence: the kind of error and its first line, such as ``KeyError: 3``."""
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return printable(f"{name}: {lines[0][:300]}" if lines else name)
