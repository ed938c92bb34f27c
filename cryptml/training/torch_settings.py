"""Settings of torch while something is trained; they are as before afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def training_torch_settings() -> Iterator[None]:
    """One thread, as small networks want it and as is reproducible; no warnings of what Brevitas does with torch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="torch")
            yield
    finally:
        torch.set_num_threads(threads)
