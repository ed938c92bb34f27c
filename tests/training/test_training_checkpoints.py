"""A training that was interrupted, whenever, comes to what it would have come to; what is no checkpoint of it is refused."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import prune

from cryptml.errors import CryptmlError, JournalError
from cryptml.files import sha256, write_bytes
from cryptml.listening import Bar, Interrupted, SilentListener
from cryptml.training.checkpoints import store
from cryptml.training.pipeline import train
from cryptml.training.recipes import recipe
from cryptml.training.request import TrainingRequest

TINY = TrainingRequest("phantom:images=120", "tiny", epochs=3, views=2, name="same")


def shared(classes: int) -> nn.Sequential:
    """One convolution and one quantiser, each used twice, and a pruned layer."""
    layer = qnn.QuantConv2d(1, 1, 3, bias=False, weight_bit_width=2)
    act = qnn.QuantReLU(bit_width=2, return_quant_tensor=True)
    last = qnn.QuantLinear(16, classes, bias=True, weight_bit_width=2)
    prune.random_unstructured(last, "weight", 0.5)
    grid = qnn.QuantIdentity(bit_width=2, return_quant_tensor=True)
    return nn.Sequential(grid, layer, nn.BatchNorm2d(1), act, layer, nn.BatchNorm2d(1), act, nn.Flatten(), last)


shared.side = 8  # type: ignore[attr-defined]
REQUESTS = {
    "modules used twice": TrainingRequest(
        "phantom:images=60", f"{__name__}:shared", epochs=6, views=1, teacher=False, name="same"
    ),
    "a teacher that is trained, and folds": replace(TINY, teacher=True, folds=2, epochs=2),
    "bins and a committee": TrainingRequest("phantom:images=60", "scatter", epochs=3, views=1, name="same"),
    "lowered bits": TrainingRequest(
        "phantom:images=60", "conv", epochs=4, views=1, teacher=False, lowered_bits=2, name="same"
    ),
}


class Impatient(SilentListener):
    """Presses Ctrl-C when it has heard of so many epochs.

    Args:
        epochs: Before it does; never if None.
    """

    def __init__(self, epochs: int | None = None) -> None:
        self.left = epochs
        self.heard = 0
        self.remarks: list[str] = []

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        def advance(done: int, total: int | None = None, what: str | None = None) -> None:
            if what is None:
                return
            self.heard += 1
            if self.left is not None and self.heard > self.left:
                raise KeyboardInterrupt

        yield advance


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def interrupt(request: TrainingRequest, out: Path, epochs: int = 2, resume: bool = False) -> Interrupted:
    with pytest.raises(Interrupted) as caught:
        train(request, out, listener=Impatient(epochs), resume=resume)
    return caught.value


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "net"
    train(TINY, out)
    return files(out)


@pytest.mark.parametrize("every", [0.0, 1000.0])
def test_each_epoch_may_be_the_last_of_a_sitting(
    whole: dict[str, bytes], tmp_path: Path, every: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "EVERY_SECONDS", every)
    out = tmp_path / "net"
    said = str(interrupt(TINY, out, 0))
    assert "nothing was kept; the same command begins again" in said
    assert list(tmp_path.iterdir()) == []
    said = str(interrupt(TINY, out, 1))
    assert f"{out}.unfinished keeps 1 finished epoch; the same command with `resume` goes on" in said
    assert [path.name for path in tmp_path.iterdir()] == ["net.unfinished"]
    assert "keeps 2 finished" in str(interrupt(TINY, out, 2, resume=True)), "the first one it hears of is the kept one"
    listener = Impatient()
    train(TINY, out, resume=True, listener=listener)
    assert "going on after 2 finished epochs" in listener.remarks
    assert files(out) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["net"], "nothing unfinished is left"


@pytest.mark.parametrize("name", REQUESTS)
def test_the_result_is_the_same_bit_for_bit(name: str, tmp_path: Path) -> None:
    request, through = REQUESTS[name], Impatient()
    train(request, tmp_path / "whole", listener=through)
    out, stops = tmp_path / "net", (2, through.heard // 2, through.heard - 1)
    done = 0
    for stop in stops:
        interrupt(request, out, stop - done + (done > 0), resume=done > 0)
        done = stop
    train(request, out, resume=True)
    assert files(out) == files(tmp_path / "whole")


def test_early_stopping_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cryptml.training.pipeline.recipe",
        lambda architecture: replace(recipe(architecture), patience=2, keep="best"),
    )
    monkeypatch.setattr("cryptml.training.fit._auc", lambda module, validation: 0.5)
    request, heard = replace(TINY, epochs=9), Impatient()
    train(request, tmp_path / "whole", listener=heard)
    assert heard.heard < 9
    interrupt(request, tmp_path / "net", heard.heard - 1)
    train(request, tmp_path / "net", resume=True)
    assert files(tmp_path / "net") == files(tmp_path / "whole")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("left") / "net"
    interrupt(TINY, out)
    return files(store.unfinished_folder(out))


@pytest.fixture
def out(left: dict[str, bytes], tmp_path: Path) -> Path:
    out = tmp_path / "net"
    folder = store.unfinished_folder(out)
    folder.mkdir()
    for name, content in left.items():
        (folder / name).write_bytes(content)
    return out


def test_it_is_gone_on_with_only_when_asked(out: Path, whole: dict[str, bytes]) -> None:
    with pytest.raises(JournalError, match=r"net\.unfinished holds an unfinished training; pass `resume`"):
        train(TINY, out)
    train(TINY, out, resume=True)
    assert files(out) == whole


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(TINY, epochs=4), r"other epochs \(3, here 4\)"),
        (replace(TINY, seed=1), r"pictures|seed \(0, here 1\)"),
        (replace(TINY, network="conv"), r"network \(tiny, here conv\)"),
        (replace(TINY, dataset="phantom:images=121"), "pictures"),
        (replace(TINY, folds=2), r"folds \(0, here 2\)"),
        (replace(TINY, positive="benign"), "positive"),
    ],
)
def test_another_training_does_not_go_on_with_it(out: Path, other: TrainingRequest, said: str) -> None:
    before = files(store.unfinished_folder(out))
    with pytest.raises(CryptmlError, match=said) as caught:
        train(other, out, resume=True)
    assert len(str(caught.value).splitlines()) == 1
    assert files(store.unfinished_folder(out)) == before, "nothing that was kept is lost"


def test_another_version_does_not(out: Path) -> None:
    state = store.unfinished_folder(out) / store.STATE_FILE
    document = json.loads(state.read_text())
    document["head"]["version of torch"] = "1.0"
    state.write_text(json.dumps(document))
    with pytest.raises(JournalError, match=r"version of torch \(1\.0, here"):
        train(TINY, out, resume=True)


def test_one_process_at_a_time(out: Path) -> None:
    held = store.Checkpoints(store.unfinished_folder(out), resume=True)
    try:
        with pytest.raises(JournalError, match="another process is at work on"):
            train(TINY, out, resume=True)
    finally:
        held.close()


def tensors_of(folder: Path) -> Path:
    (found,) = folder.glob("*.safetensors")
    return found


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change tensors and keep their digest right, as who means harm would."""
    file = tensors_of(folder)
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    _sign(folder, file)


def _sign(folder: Path, file: Path) -> None:
    document = json.loads((folder / store.STATE_FILE).read_text())
    document["fits"][0]["sha256"] = sha256(file.read_bytes())
    (folder / store.STATE_FILE).write_text(json.dumps(document))


def write(folder: Path, content: bytes) -> None:
    tensors_of(folder).write_bytes(content)
    _sign(folder, tensors_of(folder))


def named(folder: Path, **values: object) -> None:
    document = json.loads((folder / store.STATE_FILE).read_text())
    document["fits"][0].update(values)
    (folder / store.STATE_FILE).write_text(json.dumps(document))


def huge(folder: Path) -> None:
    file = tensors_of(folder)
    file.unlink()
    with file.open("wb") as stream:
        os.ftruncate(stream.fileno(), store.MAX_STATE_BYTES + 1)


def link(folder: Path) -> None:
    file = tensors_of(folder)
    file.rename(folder / "elsewhere")
    file.symlink_to(folder / "elsewhere")


def some(tensors: dict[str, torch.Tensor], kind: str) -> str:
    return next(name for name in tensors if name.startswith(kind) and tensors[name].ndim)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda folder: (folder / store.STATE_FILE).write_text("{"),
    "another form": lambda folder: (folder / store.STATE_FILE).write_text("[]"),
    "a path": lambda folder: named(folder, file="../../etc/passwd"),
    "a missing file": lambda folder: tensors_of(folder).unlink(),
    "a link": link,
    "a truncated file": lambda folder: tensors_of(folder).write_bytes(tensors_of(folder).read_bytes()[:-9]),
    "a huge file": huge,
    "no safetensors": lambda folder: write(folder, b"\x80\x04 a pickle"),
    "a head beyond its end": lambda folder: write(folder, struct.pack("<Q", 1 << 60) + b"{}"),
    "a missing tensor": lambda folder: rewrite(folder, lambda tensors: tensors.pop(some(tensors, "module."))),
    "one more": lambda folder: rewrite(folder, lambda tensors: tensors.update(more=torch.zeros(3))),
    "another shape": lambda folder: rewrite(folder, lambda t: t.update({some(t, "module."): torch.zeros(2, 7)})),
    "another type": lambda folder: rewrite(folder, lambda t: t.update({(n := some(t, "module.")): t[n].double()})),
    "no momentum": lambda folder: rewrite(folder, lambda t: t.pop(some(t, "optimiser."))),
    "no generator": lambda folder: rewrite(folder, lambda t: t.update(torch=torch.zeros_like(t["torch"]))),
    "weights of another": lambda folder: rewrite(folder, lambda t: t.update({some(t, "best."): torch.zeros(3)})),
    "no weights": lambda folder: rewrite(folder, lambda t: t.pop(some(t, "best."))),
    "too many epochs": lambda folder: rewrite(
        folder, lambda t: t.update({f"fit.{n}": torch.zeros(9, dtype=torch.float64) for n in ("losses", "aucs")})
    ),
    "no number": lambda folder: rewrite(folder, lambda t: t["fit.losses"].fill_(np.nan)),
    "a best epoch that was not": lambda folder: rewrite(folder, lambda t: t["fit.judged"].fill_(7)),
    "a best epoch without end": lambda folder: rewrite(folder, lambda t: t["fit.judged"].fill_(np.inf)),
    "no figures": lambda folder: rewrite(folder, lambda t: t.pop("fit.judged")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_checkpoint_is_refused_in_a_sentence(out: Path, name: str) -> None:
    HOSTILE[name](store.unfinished_folder(out))
    with pytest.raises(JournalError) as caught:
        train(TINY, out, resume=True)
    assert len(str(caught.value).splitlines()) == 1
    assert not out.exists()


def test_a_disk_that_is_full_leaves_the_checkpoint_before(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "EVERY_SECONDS", 0.0)
    out, written = tmp_path / "net", list[Path]()

    def fill(path: Path, *parts: bytes, mode: int = 0o644) -> None:
        written.append(path)
        if len(written) > 3:
            raise OSError(28, "No space left on device", str(path))
        write_bytes(path, *parts, mode=mode)

    monkeypatch.setattr(store, "write_bytes", fill)
    with pytest.raises(OSError, match="No space left"):
        train(TINY, out)
    monkeypatch.undo()
    train(TINY, out, resume=True)
    assert files(out) == whole
