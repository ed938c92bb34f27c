"""The contenders by kind; what one of them needs is imported for it alone."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.side_by_side.contender import Contender

KINDS = {
    "service": ("service", "ServiceContender"),
    "concrete-ml": ("concrete_ml", "ConcreteMLContender"),
    "ckks": ("ckks", "CkksContender"),
    "clear": ("clear", "ClearContender"),
    "peak": ("peak", "PeakContender"),
}


def make(kind: str, options: dict[str, Any]) -> Contender:
    """Return a contender of a kind with its own options."""
    module, name = KINDS[kind]
    contender: Contender = getattr(importlib.import_module(f"benchmarks.side_by_side.{module}"), name)(**options)
    return contender
