"""Recorded services with another bundle."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from benchmarks.hostile_service.documents.json_texts import written
from benchmarks.hostile_service.plays import Play
from benchmarks.hostile_service.stage import Attack
from cryptml.files import sha256


def renamed(play: Play, manifest: Mapping[str, Any], files: dict[str, bytes], token: str | None = None) -> Play:
    """Return a play of another bundle, digests and sizes being right; ``token`` stands in the place of `PLACE`."""
    document = deepcopy(dict(manifest))
    if isinstance(document.get("files"), dict):
        for name, data in files.items():
            document["files"][name] = {"sha256": sha256(data), "bytes": len(data)}
        for name in list(document["files"]):
            if name not in files:
                del document["files"][name]
    body = written(document, token)
    answers = {**play.answers, "manifest": replace(play.answers["manifest"], body=body)}
    return replace(play, manifest=body, files=files, answers=answers)


def with_play(way: str, play: Play) -> Attack:
    """Return an attack that answers as another recorded service."""
    return Attack(way, play=play)


def with_manifest(play: Play, body: bytes) -> Play:
    """Return a play with another manifest, the rest being as it was."""
    return replace(
        play, manifest=body, answers={**play.answers, "manifest": replace(play.answers["manifest"], body=body)}
    )
