"""DICOMDIR files: the list of what lies on a medium (DICOM PS3.10 8, PS3.3 F)."""

from __future__ import annotations

from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from cryptml.images.dicom.data_set import open_data_set
from cryptml.images.dicom.elements import items, word, words


def listed_files(file: Path) -> list[list[str]] | None:
    """Return the names of the pictures' files, as folders and a name below the list's own; None for a file that is no list.

    Raises:
        ImageError: If the file is malformed.
    """
    opened = open_data_set(file)
    if opened.storage != MediaStorageDirectoryStorage and "DirectoryRecordSequence" not in opened.dataset:
        return None
    records = items(opened.dataset, "DirectoryRecordSequence")
    return [
        names
        for record in records
        if word(record, "DirectoryRecordType") == "IMAGE"
        and (names := words(record, "ReferencedFileID", capitals=False))
    ]
