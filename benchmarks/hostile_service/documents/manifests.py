"""Manifests that are changed, and other services' bundles."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace

from benchmarks.hostile_service.documents.bundles import renamed, with_manifest, with_play
from benchmarks.hostile_service.documents.json_texts import token_for, written
from benchmarks.hostile_service.plays import Play
from benchmarks.hostile_service.stage import Attack
from benchmarks.hostile_service.texts import TEXTS
from benchmarks.json_changes import PLACE, places, put


def manifests(play: Play, rng: random.Random) -> Attack:
    """A manifest of which one value, or the form, is changed."""
    document = json.loads(play.manifest)
    name = rng.choice(["value"] * 12 + ["gone", "new name", "added", "swapped", "doubled", "twice", "cut", "several"])
    path, value = rng.choice([*places(document)])
    if name == "value":
        token = token_for(value, rng)
        return with_play(f"{path} = {token[:60]}", with_manifest(play, written(put(document, path, PLACE), token)))
    if name == "several":
        token = ""
        for _ in range(rng.randint(2, 5)):
            path, value = rng.choice([*places(document)])
            token = token_for(value, rng)
            try:
                document = json.loads(written(put(document, path, PLACE), token))
            except (ValueError, RecursionError):
                break
        return with_play(f"several, {path} = {token[:40]}", with_manifest(play, written(document)))
    if name in ("gone", "new name", "added"):
        objects = [each for each, inner in places(document) if isinstance(inner, dict) and inner]
        where = rng.choice(objects)
        inner = document
        for each in where:
            inner = inner[each]
        key = rng.choice([*inner])
        if name == "added":
            inner[rng.choice(TEXTS)[:200]] = 1
        else:
            found = inner.pop(key)
            if name == "new name":
                inner[rng.choice([key + "\n", key.upper(), *TEXTS])] = found
        return with_play(f"{name}: {where} {key}", with_manifest(play, written(document)))
    if name == "swapped" and len(document["steps"]) > 1:
        first, second = rng.sample(range(len(document["steps"])), 2)
        steps = document["steps"]
        steps[first], steps[second] = steps[second], steps[first]
    elif name == "doubled":
        document["steps"].append(rng.choice(document["steps"]))
    elif name == "twice":
        return with_play("a key twice", with_manifest(play, play.manifest[:-2].rstrip() + b',"split":"CCCCC"}'))
    else:
        return with_play("cut off", with_manifest(play, play.manifest[: rng.randrange(len(play.manifest))]))
    return with_play(name, with_manifest(play, written(document)))


def foreign(play: Play, plays: Mapping[str, Play], rng: random.Random) -> Attack:
    """Another split's bundle, an older one, or parts of one in another."""
    other = plays[rng.choice([*plays])]
    name = rng.choice(
        ["whole", "manifest", "files", "file", "one file", "missing", "longer", "another model", "circuits"]
    )
    if name == "whole":
        return with_play(
            f"{name}: {other.split}",
            replace(play, files=other.files, answers={**play.answers, "manifest": other.answers["manifest"]}),
        )
    if name == "manifest":
        return with_play(name, with_manifest(play, other.manifest))
    if name == "files":
        return with_play(name, replace(play, files=other.files))
    files = dict(play.files)
    chosen = rng.choice([*files])
    if name == "missing":
        del files[chosen]
        return with_play(name, replace(play, files=files))
    if name in ("file", "one file"):
        files[chosen] = other.files.get(chosen, b"")
        return with_play(name, replace(play, files=files))
    if name == "longer":
        files[chosen] += b" " * rng.choice([1, 1000, 10_000_000])
        return with_play(name, replace(play, files=files))
    document = json.loads(play.manifest)
    if name == "another model":
        document["model"] = rng.choice(["other", "tiny2", "tiny-"])
    else:
        document["steps"] = json.loads(other.manifest)["steps"]
        files = {**other.files, **files}
    return with_play(name, renamed(play, document, files))
