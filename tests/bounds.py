"""How long a test waits for what ends by itself: a bound that tells it from what would never end, not a claim about speed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

ENDS_SECONDS = 60.0
"""Many times what any of it takes, so that a machine that is busy with other things does not fail a test."""


@contextmanager
def ends() -> Iterator[None]:
    """Fail where the block lasts longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < ENDS_SECONDS
