"""What a client may take of time, memory, files and requests."""

from __future__ import annotations

TIMEOUT_SECONDS = 1.0
PATIENCE_SECONDS = 0.4
MARGIN_SECONDS = 4.0
"""For what the client computes between two requests, on a machine whose cores others use too."""

KILL_SECONDS = 90.0
MOST_REQUESTS = 80
MOST_TEXT = 2500
"""Characters of an error's sentence."""

MARGIN_BYTES = 256 << 20
"""Above the peak of honest runs: a document of 16 MiB as Python's objects, a few copies of a body."""

MORE_FILES = 40
"""Open files above those at the start: connections that are kept for the next request."""
