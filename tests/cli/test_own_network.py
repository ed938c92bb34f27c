"""A network of one's own at the command line: priced before it is trained, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cryptml.cli.main import app
from cryptml.cli.spelling import told
from cryptml.errors import NetworkError

NETWORKS = """
import sys
from brevitas import nn as qnn
from torch import nn

def wide(classes):
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=6, return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(64, 4, bias=True, weight_bit_width=6),
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        qnn.QuantLinear(4, classes, bias=True, weight_bit_width=4),
    )

def raising(classes):
    raise KeyError(3)

def leaving(classes):
    sys.exit(3)

class Odd(nn.Module):
    def forward(self, x):
        raise ZeroDivisionError("by nought")

def odd(classes):
    return nn.Sequential(*wide(classes), Odd())

for each in (wide, raising, leaving, odd):
    each.side = 8
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "networks_of_a_user.py").write_text(NETWORKS)
    (tmp_path / "networks_that_leave.py").write_text("raise SystemExit('no')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(network: str, *options: str) -> Result:
    arguments = ["train", "--dataset", "phantom:images=60", "--epochs", "1", "--no-teacher", "--out", "net"]
    return CliRunner().invoke(app, [*arguments, "--network", network, *options])


@pytest.mark.parametrize(
    ("network", "options", "said"),
    [
        ("wide", ["--as-is"], "act1: its tables read 1"),
        ("wide", ["--as-is"], "put RoundedAccumulator(4, bits=5) of cryptml.networks.modules directly behind 2"),
        ("wide", ["--as-is"], "or leave out --as-is"),
        ("wide", ["--max-evaluate-ms", "1"], "allow a larger --max-evaluate-ms"),
        ("raising", [], "cannot be built (KeyError: 3)"),
        ("leaving", [], "cannot be built (SystemExit: 3)"),
        ("odd", [], "5 (Odd): "),
    ],
)
def test_what_does_not_fit_is_refused_before_any_training(
    here: Path, network: str, options: list[str], said: str
) -> None:
    done = train(f"networks_of_a_user:{network}", *options)
    assert isinstance(done.exception, NetworkError)
    assert said in told(done.exception)
    assert not (here / "net").exists()


def test_a_module_that_ends_the_process_is_refused(here: Path) -> None:
    done = train("networks_that_leave:build")
    assert isinstance(done.exception, NetworkError)
    assert "cannot be imported (SystemExit: no)" in str(done.exception)
    assert not (here / "net").exists()


def test_the_price_is_shown_and_every_change_printed(here: Path) -> None:
    done = train("networks_of_a_user:wide")
    assert done.exit_code == 0, done.stderr
    assert "accumulators behind module 2, which act1 reads: rounded from" in " ".join(done.stderr.split())
    assert "4 PBS, about" in done.stdout
    assert "table bits" in done.stdout
    assert (here / "net" / "network.json").is_file()
