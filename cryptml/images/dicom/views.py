"""Which view of which breast a file says it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cryptml.images.dicom.elements import items, word

if TYPE_CHECKING:
    from pydicom import Dataset

VIEWS: Mapping[str, str] = {
    "399162004": "CC",
    "399368009": "MLO",
    "399260004": "ML",
    "399352003": "LM",
    "399099002": "LMO",
    "399196006": "FB",
    "399192008": "XCCL",
    "399101009": "XCCM",
    "399188001": "SIO",
    "441555000": "ISO",
    "R-10242": "CC",
    "R-10226": "MLO",
    "R-10224": "ML",
    "R-10228": "LM",
    "R-10230": "LMO",
    "R-10244": "FB",
    "R-1024A": "XCCL",
    "R-1024B": "XCCM",
    "R-102D0": "SIO",
    "R-40AAA": "ISO",
}
"""Codes of views, SNOMED CT and the ones before it, and what they are called (DICOM PS3.16, CID 4014; PS3.3 C.8.11.7)."""

MOST_CHARACTERS = 8
"""Of a view's name."""


def view_and_laterality(dataset: Dataset) -> tuple[str | None, str | None]:
    """Return a mammogram's view (``"CC"``, ``"MLO"``, ...) and side (``"L"``, ``"R"``); None for what the file does not say plainly."""
    views = [word(dataset, "ViewPosition")]
    views += [VIEWS.get(word(code, "CodeValue") or "") for code in items(dataset, "ViewCodeSequence")[:1]]
    sides = [word(dataset, "ImageLaterality"), word(dataset, "Laterality")]
    for groups in items(dataset, "SharedFunctionalGroupsSequence")[:1]:
        sides += [word(anatomy, "FrameLaterality") for anatomy in items(groups, "FrameAnatomySequence")[:1]]
    view = next((each for each in views if each), None)
    known = view is not None and len(view) <= MOST_CHARACTERS and view.isalnum()
    return (view if known else None), next((each for each in sides if each in ("L", "R")), None)
