"""Imports, silently, what Brevitas imports and what prints to standard error by itself.

``torch.utils.cpp_extension`` says on every import that it finds no CUDA runtime, wherever a toolkit is installed and no GPU is.
"""

from contextlib import redirect_stderr
from io import StringIO

with redirect_stderr(StringIO()):
    import torch.utils.cpp_extension  # noqa: F401 (for its side effect)
