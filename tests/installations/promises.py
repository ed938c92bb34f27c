"""What the small installations promise, for the tests with hidden packages and those with real environments."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMPORT_ALL = Path(__file__).with_name("import_all.py")

PACKAGES = {"client": ("cryptml", "cryptml_client"), "server": ("cryptml", "cryptml_client", "cryptml_server")}
"""Whose every module can be imported in each, but for those of `TRAINING` and `ONNX`."""

TRAINING = (
    "cryptml.estimator",
    "cryptml.fhe.backends.concrete_ml",
    "cryptml.networks.architectures",
    "cryptml.networks.checkpoint",
    "cryptml.networks.conversion",
    "cryptml.networks.quiet",
    "cryptml.networks.modules",
    "cryptml.networks.sequences",
    "cryptml.reports.draft",
    "cryptml.reports.roc",
    "cryptml.reports.search",
    "cryptml.search",
    "cryptml.training",
)
"""Modules and packages that the extra ``train`` is for."""

ONNX = ("cryptml.networks.backbones.inspection", "cryptml.networks.backbones.process")
"""Modules that the extra ``onnx`` is for."""

HEAVY = (
    "torch",
    "z3",
    "nvidia",
    "triton",
    "brevitas",
    "sklearn",
    "xgboost",
    "onnx",
    "ray",
    "ziglang",
    "matplotlib",
    "pandas",
)
"""Modules that neither holds."""

LATE = ("concrete", "mlir", "scipy", "networkx", "jsonschema", "pydicom", "PIL", "typer", *HEAVY)
"""Modules that ``import cryptml_client`` leaves to who needs them."""


def locked(part: str) -> set[str]:
    """Names of the packages in a lock."""
    lines = (ROOT / "make" / f"{part}.txt").read_text().splitlines()
    return {normal(line.partition("==")[0]) for line in lines}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def is_training(module: str) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in (*TRAINING, *ONNX))


def require_only_training_fails(failed: dict[str, str]) -> None:
    """Every module but those of `TRAINING` and `ONNX` was imported, and each entry of these stands for one that was not."""
    assert {name: why for name, why in failed.items() if not is_training(name)} == {}
    assert {why.partition(":")[0] for why in failed.values()} == {"ModuleNotFoundError"}
    idle = [
        each for each in (*TRAINING, *ONNX) if not any(name == each or name.startswith(f"{each}.") for name in failed)
    ]
    assert idle == []
