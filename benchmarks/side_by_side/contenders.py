"""The contenders by kind."""

from __future__ import annotations

from typing import Any

from benchmarks.side_by_side.ckks import CkksContender
from benchmarks.side_by_side.clear import ClearContender
from benchmarks.side_by_side.concrete_ml import ConcreteMLContender
from benchmarks.side_by_side.contender import Contender
from benchmarks.side_by_side.peak import PeakContender
from benchmarks.side_by_side.service import ServiceContender

KINDS: dict[str, type[Any]] = {
    "service": ServiceContender,
    "concrete-ml": ConcreteMLContender,
    "ckks": CkksContender,
    "clear": ClearContender,
    "peak": PeakContender,
}


def make(kind: str, options: dict[str, Any]) -> Contender:
    """Return a contender of a kind with its own options."""
    contender: Contender = KINDS[kind](**options)
    return contender
