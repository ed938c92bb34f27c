"""Attributes of one frame: of the whole file, of a functional group that all frames share, or of the frame's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptml.errors import ImageError, counted
from cryptml.images.dicom.elements import has_value, items, numbers, words
from cryptml.images.dicom.names import name_of, tag_of

if TYPE_CHECKING:
    from pydicom import Dataset

_TEXT = ("VOILUTFunction",)


class FrameValues:
    """Where each attribute of one frame is looked up.

    Args:
        dataset: Of the file.
        place: Of the frame, from 0.
        frames: In the file.

    Raises:
        ImageError: If the file has functional groups, but not for each frame.
    """

    def __init__(self, dataset: Dataset, place: int, frames: int) -> None:
        self._dataset = dataset
        shared = items(dataset, "SharedFunctionalGroupsSequence")
        own = items(dataset, "PerFrameFunctionalGroupsSequence")
        if len(shared) > 1 or (own and len(own) != frames):
            raise ImageError(
                f"{name_of('PerFrameFunctionalGroupsSequence')} describes {counted(len(own), 'frame')} and "
                f"{name_of('SharedFunctionalGroupsSequence')} {counted(len(shared), 'set')} of them, where "
                f"the file holds {counted(frames, 'frame')}"
            )
        self._groups = [*shared, *own[place : place + 1]]

    def holder(self, group: str, *keywords: str) -> Dataset:
        """Return the data set that holds attributes: the file's, or the functional group that has a value of one of them.

        Raises:
            ImageError: If two places have values, and these differ.
        """
        holding = self._holding(group, keywords)
        for other in holding[1:]:
            for keyword in keywords:
                if _value(other, keyword) != _value(holding[0], keyword):
                    raise ImageError(f"{name_of(keyword)} is given in two places that differ; export the file again")
        return holding[0] if holding else self._dataset

    def sequence(self, group: str, keyword: str) -> list[Dataset]:
        """Return the items of a sequence: the file's, or those in the functional group; an empty list where there are none.

        Raises:
            ImageError: If two places have one.
        """
        holding = self._holding(group, (keyword,))
        if len(holding) > 1:
            raise ImageError(f"{name_of(keyword)} is given in {len(holding)} places; export the file again")
        return items(holding[0], keyword) if holding else []

    def _holding(self, group: str, keywords: tuple[str, ...]) -> list[Dataset]:
        holding = [self._dataset] if _any(self._dataset, keywords) else []
        for groups in self._groups:
            found = items(groups, group)
            if len(found) > 1:
                raise ImageError(f"{name_of(group)} has {len(found)} items where 1 is needed")
            holding += [item for item in found if _any(item, keywords)]
        return holding


def _any(dataset: Dataset, keywords: tuple[str, ...]) -> bool:
    return any(has_value(dataset, tag_of(keyword)) for keyword in keywords)


def _value(dataset: Dataset, keyword: str) -> object:
    return words(dataset, keyword) if keyword in _TEXT else numbers(dataset, keyword)
