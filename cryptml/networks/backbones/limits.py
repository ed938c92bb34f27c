"""Bounds of an ONNX file and of the process that runs it."""

MAX_BYTES = 256 << 20
"""Of a file; that of a ResNet-50 has 100 MB."""

MOST_NODES = 5000

IR_VERSIONS = (3, 10)
OPSETS = (9, 21)
"""First and last that are read: those of onnxruntime 1.18."""

MOST_FEATURES = 8192
"""Values that a backbone gives for one region."""

SIDES = (8, 512)
"""Least and largest side of a region, in pixels."""

BATCH = 16
"""Regions that are run at once, where the file allows more than one."""

MEMORY_BYTES = 3 << 30
"""That the process may hold; it is ended when it holds more."""

ADDRESS_BYTES = 16 << 30
"""That the process may reserve."""

FILE_BYTES = 16 << 20
"""Of a file that the process may write: nothing of it needs one."""

LOAD_SECONDS = 120.0
RUN_SECONDS = 120.0
"""For one file, and for one batch."""
