"""The second back end: Concrete ML's import, exact or refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryptml.errors import CircuitError, SettingError
from cryptml.fhe.backends import concrete_ml
from cryptml.fhe.backends.concrete_ml import ConcreteMLBackend
from cryptml.fhe.backends.registry import load_backend
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import Network, Standardisation, load_network, save_network
from cryptml.networks.checkpoint import save_checkpoint
from cryptml.networks.conversion import convert
from cryptml.networks.textures import random_textures
from cryptml.splits import Segment, enumerate_segments

pytestmark = pytest.mark.encrypted


def test_every_segment_of_tiny_is_exact(tiny: Network) -> None:
    """But linear ones whose secret would be too small: the import cannot be asked for a larger one."""
    backend = load_backend("concrete-ml", "tiny")
    for segment in enumerate_segments(len(tiny)):
        try:
            compiled = backend(tiny, segment, DEFAULT_COMPILER_SETTINGS)
        except CircuitError as error:
            assert not tiny.bootstraps(segment)
            assert re.search(r"to what no client takes .*dimension 5\d\d .*; use `backend` integer", str(error))
            continue
        compiled.spec.require_fit()
        assert compiled.spec.backend == "concrete-ml"
        compiled.discard()


def test_an_encrypted_evaluation_equals_the_integer_program(tiny: Network, tmp_path: Path) -> None:
    segment = Segment(2, 5)
    compiled = load_backend("concrete-ml", "tiny")(tiny, segment, DEFAULT_COMPILER_SETTINGS)
    compiled.move_to(tmp_path / "circuit")
    keys = KeySet.generate(compiled.spec)
    client, server = ClientCircuit(compiled.spec, keys), ServerCircuit(tmp_path / "circuit")
    evaluation_keys = load_evaluation_keys(keys.evaluation_keys)
    inputs = tiny.run(tiny.quantise(random_textures(8, 3)), Segment(0, 2))
    for values in inputs:
        answer = client.decrypt(server.evaluate(client.encrypt(values[None]), evaluation_keys))
        assert np.array_equal(answer, tiny.run(values[None], segment))


def test_a_difference_from_brevitas_is_refused_with_its_size(tiny: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """A circuit that is off by one step somewhere is not let through."""
    honest = concrete_ml._codec

    def shifted(*arguments: Any) -> object:
        codec = honest(*arguments)
        return type(codec)(
            codec.input_scale, codec.input_offset, codec.output_scale, tuple(v + 1 for v in codec.output_offset)
        )

    monkeypatch.setattr(concrete_ml, "_codec", shifted)
    with pytest.raises(CircuitError, match=r"not exact: it differs from Brevitas by up to .* on 100\.0% of"):
        ConcreteMLBackend("tiny")(tiny, Segment(3, 5), DEFAULT_COMPILER_SETTINGS)


def test_scales_a_channel_are_refused_with_the_reason(tmp_path: Path) -> None:
    from brevitas import nn as qnn
    from brevitas.quant import Int8WeightPerChannelFloat
    from torch import nn

    from cryptml.networks.modules.blocks import activation, input_grid, linear

    torch.manual_seed(0)
    module = nn.Sequential(
        input_grid(bits=2),
        qnn.QuantConv2d(1, 2, 2, stride=2, bias=False, weight_quant=Int8WeightPerChannelFloat, weight_bit_width=2),
        activation(bits=2),
        nn.Flatten(),
        linear(32, 2, bits=2),
    )
    module.train()
    module(torch.randn(16, 1, 8, 8))
    network = convert(module, name="scaled", front_end=Standardisation(8), classes=("no", "yes"))
    save_network(network, tmp_path, architecture=f"{__name__}:unused")
    save_checkpoint(module, tmp_path)
    backend = ConcreteMLBackend(str(tmp_path))
    with pytest.raises(CircuitError, match="2 scales, one a channel"):
        backend(network, Segment(1, 3), DEFAULT_COMPILER_SETTINGS)


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(SettingError, match="'seal' is unknown; use integer or concrete-ml"):
        load_backend("seal", "tiny")


def test_rounded_accumulators_are_refused_by_name() -> None:
    scatter = load_network("scatter")
    with pytest.raises(CircuitError, match=r"segment 0-2: it has rounded accumulators.*use `backend` integer"):
        ConcreteMLBackend("scatter")(scatter, Segment(0, 2), DEFAULT_COMPILER_SETTINGS)


def saved(module: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """Return the network of a module whose checkpoint lies in a folder; the back end gets the module itself."""
    module.train()
    with torch.no_grad():
        module(torch.randn(16, 1, 8, 8))
    network = convert(module, name="own", front_end=Standardisation(8), classes=("no", "yes"))
    save_network(network, folder, architecture=None)
    monkeypatch.setattr(concrete_ml, "load_checkpoint", lambda *_: module)
    return network


def small(outputs: int) -> Any:
    from brevitas import nn as qnn
    from torch import nn

    from cryptml.networks.modules.blocks import activation, input_grid, linear

    conv = qnn.QuantConv2d(1, 2, 4, stride=4, bias=False, weight_bit_width=2)
    return nn.Sequential(input_grid(bits=2), conv, activation(bits=2), nn.Flatten(), linear(8, outputs, bits=2))


def test_pruning_is_made_permanent_before_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn.utils import prune

    module = small(2)
    prune.l1_unstructured(module[1], "weight", 16)
    prune.random_unstructured(module[4], "bias", 1)
    network = saved(module, tmp_path, monkeypatch)
    compiled = ConcreteMLBackend(str(tmp_path))(network, Segment(0, 2), DEFAULT_COMPILER_SETTINGS)
    compiled.discard()
    assert not any(prune.is_pruned(each) for each in module.modules())
    assert int((module[1].weight == 0).sum()) == 16


@pytest.mark.parametrize("error", [KeyError(140), ZeroDivisionError("by nought"), SystemExit(3)])
def test_whatever_the_import_raises_is_said_with_its_kind(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    network = saved(small(2), tmp_path, monkeypatch)
    monkeypatch.setattr("concrete.ml.torch.compile.compile_brevitas_qat_model", fails)
    with pytest.raises(CircuitError, match=rf"segment 0-3 \({type(error).__name__}: .*\); use `backend` integer"):
        ConcreteMLBackend(str(tmp_path))(network, Segment(0, 3), DEFAULT_COMPILER_SETTINGS)


def test_logits_that_no_module_gives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    from cryptml.networks.sequences.parts import LogitPair

    network = saved(nn.Sequential(*small(1), LogitPair()), tmp_path, monkeypatch)
    with pytest.raises(CircuitError, match="segment 2-3: its logits are not those of a module"):
        ConcreteMLBackend(str(tmp_path))(network, Segment(2, 3), DEFAULT_COMPILER_SETTINGS)
