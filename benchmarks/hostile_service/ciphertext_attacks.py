"""Results that are no results, or decrypt to something else."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from benchmarks.hostile_service.documents.weights import flipped
from benchmarks.hostile_service.plays import Play, Request, Response
from benchmarks.hostile_service.stage import Attack

WORD = 8
RESULTS = frozenset(("evaluation", "result"))


def payload_of(play: Play, segment: int) -> tuple[int, int]:
    """Return where the payload of a recorded result begins and ends."""
    size = play.steps[segment].circuit.parameters.output_bytes
    data = play.results[segment].body
    head = next(start for start in range(0, 256, WORD) if _is_pointed_at(data, start, size))
    return head, head + size


def _is_pointed_at(data: bytes, start: int, size: int) -> bool:
    """Whether the word before is a pointer to so many bytes behind it (Cap'n Proto's list of bytes)."""
    if start < WORD:
        return False
    (word,) = struct.unpack_from("<Q", data, start - WORD)
    return bool(word >> 35 == size and word & 3 == 1)


def _attack(way: str, alter: Callable[[Request, Response], bytes], *, well_formed: bool = False) -> Attack:
    def changed(request: Request, honest: Response, _: random.Random) -> Response:
        return replace(honest, body=alter(request, honest)) if honest.status == 200 else honest

    return Attack(way, RESULTS, alter=changed, lasting=True, well_formed=well_formed)


def segment_of(request: Request) -> int:
    """Return the number of the server segment that a result is of."""
    return request.segment if request.step == "evaluation" else int(request.path.split("/")[3], 16)


def malformed(play: Play, rng: random.Random) -> Attack:
    """Results whose message is damaged: its table of segments, its descriptions, its length."""
    way = rng.choice(
        [
            "cut",
            "longer",
            "table",
            "head bits",
            "pointer",
            "tail bits",
            "tail pointer",
            "empty",
            "random",
            "zeros",
            "nested",
        ]
    )
    value = rng.choice(
        [0, 1, 3, 0xFFFFFFFF, 1 << 29, (1 << 29) - 1, 1 << 32, (1 << 64) - 1, 0x7FFFFFFFFFFFFFFF, rng.getrandbits(64)]
    )

    def alter(request: Request, honest: Response) -> bytes:
        data = honest.body
        start, stop = payload_of(play, segment_of(request))
        if way == "cut":
            return data[: rng.randrange(len(data))]
        if way == "longer":
            return data + rng.randbytes(rng.choice([1, 8, 60_000, 100_000]))
        if way == "table":
            claims = rng.choice(
                [(0, 0xFFFFFFFF), (511, *[1] * 512), (0xFFFFFFFF,), (1, 5, 0xFFFFFFF0), (0, 0), (600, *[0] * 601)]
            )
            table = struct.pack(f"<{len(claims)}I", *claims)
            return table + data[len(table) :]
        if way == "head bits":
            return flipped(data, rng, rng.randint(1, 4), WORD, start)
        if way == "tail bits":
            return flipped(data, rng, rng.randint(1, 4), stop)
        if way in ("pointer", "tail pointer"):
            low, high = (1, start // WORD) if way == "pointer" else (stop // WORD, len(data) // WORD)
            place = WORD * rng.randrange(low, high)
            return data[:place] + struct.pack("<Q", value) + data[place + WORD :]
        if way == "nested":  # a message that says that it contains itself
            return data[:WORD] + struct.pack("<Q", 0xFFFFFFFC | (1 << 48)) + data[2 * WORD :]
        if way == "empty":
            return b""
        return rng.randbytes(len(data)) if way == "random" else bytes(len(data))

    return _attack(f"{way} {value:x}" if "pointer" in way else way, alter)


def of_others(play: Play, plays: Mapping[str, Play], rng: random.Random) -> Attack:
    """Results of other circuits, other segments, and the client's own input."""
    way = rng.choice(["another split", "another segment", "its input", "keys"])
    other = plays[rng.choice([*plays])]

    def alter(request: Request, _: Response) -> bytes:
        if way == "its input":
            return play.ciphertexts[segment_of(request)]
        if way == "keys":
            return play.key_sets[segment_of(request)].evaluation_keys[:200_000]
        results = (other if way == "another split" else play).results
        return results[rng.choice([*results])].body

    return _attack(f"{way} {other.split}", alter)


def altered(play: Play, rng: random.Random) -> Attack:
    """Whole results that decrypt to something else, in the segment's range or outside it."""
    way = rng.choice(["bits", "random", "zeros", "another value", "beyond", "added", "shuffled", "plain", "one of all"])
    which = rng.choice([None, 0, len(play.steps) - 1])
    seed = rng.getrandbits(32)

    def alter(request: Request, honest: Response) -> bytes:
        segment = segment_of(request)
        if which is not None and segment != which:
            return honest.body
        start, stop = payload_of(play, segment)
        circuit = play.steps[segment].circuit
        words = np.frombuffer(honest.body[start:stop], "<u8").reshape(circuit.writes.size, -1).copy()
        local = np.random.default_rng(seed + segment)
        encoding = circuit.parameters.output_encoding
        step = np.uint64(1) << np.uint64(63 - encoding.width)
        if way == "bits":
            return flipped(honest.body, random.Random(seed + segment), 1 + seed % 40, start, stop)
        if way == "random":
            words = local.integers(0, 1 << 64, words.shape, np.uint64)
        elif way == "zeros":
            words[:] = 0
        elif way in ("another value", "beyond"):
            words[:] = 0  # no mask: a trivial ciphertext, whose message everybody knows
            top = circuit.writes.high if way == "another value" else (1 << encoding.width) - 1
            words[:, -1] = (
                local.integers(circuit.writes.low if way == "another value" else top, top + 1, len(words)).astype(
                    np.uint64
                )
                * step
            )
        elif way == "added":
            words[:, -1] += step * local.integers(0, 2, len(words)).astype(np.uint64)
        elif way == "shuffled":
            words = words[local.permutation(len(words))]
        elif way == "plain":
            words[:] = np.arange(words.size, dtype=np.uint64).reshape(words.shape)
        else:
            words[:] = words[0]
        return honest.body[:start] + words.astype("<u8").tobytes() + honest.body[stop:]

    return _attack(f"{way} of {'all' if which is None else which}", alter, well_formed=True)
