"""The same picture twice: by the bytes of its file, or by its reduced pixels."""

from __future__ import annotations

import hashlib
from collections import defaultdict

from cryptml.datasets.base import Dataset
from cryptml.datasets.problems import listed
from cryptml.errors import DatasetError, counted


def find_duplicates(dataset: Dataset) -> tuple[tuple[int, ...], ...]:
    """Return groups of positions of the same picture, each of two or more, ascending.

    Two pictures are the same where their reduced pixels are equal, or the files that they came from. Pictures that resemble
    each other, such as
    the same film compressed twice, are not found.

    Args:
        dataset: Any.
    """
    leader = list(range(len(dataset)))

    def first(place: int) -> int:
        while leader[place] != place:
            place = leader[place]
        return place

    seen: dict[str, int] = {}
    for place, image in enumerate(dataset.images):
        keys = [hashlib.sha256(image.tobytes()).hexdigest()]
        keys += [f"file {dataset.sources[place].digest}"] if dataset.sources else []
        for key in keys:
            earlier = first(seen.setdefault(key, place))
            own = first(place)
            leader[max(own, earlier)] = min(own, earlier)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place in range(len(dataset)):
        groups[first(place)].append(place)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def describe_duplicates(dataset: Dataset, group: tuple[int, ...]) -> str:
    """Say in words which pictures are the same, with what they differ in: class, patient, subset."""
    differ = ["subset"] if len({dataset.subsets[place] for place in group}) > 1 else []
    if len({int(dataset.labels[place]) for place in group}) > 1:
        differ.append("class")
    if dataset.patients_known and len({dataset.patients[place] for place in group}) > 1:
        differ.append("patient")
    said = {
        "subset": lambda place: dataset.subsets[place],
        "class": lambda place: dataset.classes[dataset.labels[place]],
        "patient": lambda place: f"patient {dataset.patients[place]}",
    }
    names = []
    for place in group:
        details = ", ".join(said[what](place) for what in differ)
        names.append(f"{picture_name(dataset, place)}{f' ({details})' if details else ''}")
    return " = ".join(names)


def picture_name(dataset: Dataset, place: int) -> str:
    """Return the file of a picture, or its number where it has none."""
    return dataset.sources[place].file if dataset.sources else f"picture {place}"


def require_apart(dataset: Dataset) -> None:
    """Refuse a set with the same picture in two subsets: what was learned would be judged on itself.

    Raises:
        DatasetError: Naming all such pictures.
    """
    groups = [group for group in find_duplicates(dataset) if len({dataset.subsets[place] for place in group}) > 1]
    if groups:
        pictures = counted(len(groups), "picture")
        raise DatasetError(
            f"{dataset.name} has {pictures} in more than one subset: "
            f"{listed([describe_duplicates(dataset, group) for group in groups])}; keep one of each, or give them one subset in the index"
        )
