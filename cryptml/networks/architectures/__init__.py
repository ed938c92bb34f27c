"""Networks written with Brevitas layers: one file an architecture."""

import cryptml.networks.quiet  # noqa: F401 (before Brevitas)
