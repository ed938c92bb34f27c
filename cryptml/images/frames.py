"""Which frames of a file are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptml.errors import ImageError, counted

_FORMS = "give a number from 1, all, max, or max:FIRST-LAST"


@dataclass(frozen=True)
class FrameChoice:
    """Frames of a file that holds several, and what is made of them.

    Attributes:
        first: From 1; None for the first there is.
        last: At least ``first``; None for the last there is.
        projected: Whether they become one picture, each pixel the brightest of its place (a maximum-intensity projection).
    """

    first: int | None
    last: int | None
    projected: bool

    @property
    def is_one(self) -> bool:
        """Whether one picture comes of any file."""
        return self.projected or self.first is not None

    @classmethod
    def parse(cls, text: str) -> FrameChoice:
        """Read ``"7"``, ``"all"``, ``"max"`` or ``"max:5-12"``.

        Raises:
            ImageError: If the text is anything else.
        """
        match = re.fullmatch(
            r"\s*(?:([1-9][0-9]{0,4})|(all)|max(?::([1-9][0-9]{0,4})-([1-9][0-9]{0,4}))?)\s*", text.lower()
        )
        if match is None:
            raise ImageError(f"the frame {text[:40]!r} is not known; {_FORMS}")
        one, everything, first, last = match.groups()
        if one:
            return cls(int(one), int(one), projected=False)
        if everything:
            return cls(None, None, projected=False)
        return cls(int(first) if first else None, int(last) if last else None, projected=True)

    def places(self, frames: int) -> range:
        """Return the places of the chosen frames in a file, from 0.

        Raises:
            ImageError: If the file has no such frames.
        """
        first, last = self.first or 1, self.last or frames
        if not 1 <= first <= last <= frames:
            chosen = f"frame {first}" if first == last else f"frames {first} to {last}"
            raise ImageError(
                f"the file holds {counted(frames, 'frame')}, and {chosen} cannot be chosen; choose 1 to {frames}"
            )
        return range(first - 1, last)


def groups(choice: FrameChoice | None, frames: int) -> Iterator[range]:
    """Return the frames of each picture that a choice makes of a file.

    Args:
        choice: None where nothing was chosen: the file may hold one frame then.
        frames: That the file holds.

    Raises:
        ImageError: If the choice does not fit the file.
    """
    if choice is None:
        if frames != 1:
            raise ImageError(
                f"the file holds {counted(frames, 'frame')}, and none was chosen: choose one of 1 to {frames}, all of them, or "
                "their brightest values (`frame` N, all or max)"
            )
        yield range(1)
        return
    places = choice.places(frames)
    if choice.projected:
        yield places
    else:
        yield from (range(place, place + 1) for place in places)
