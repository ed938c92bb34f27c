"""The back ends by the names that the command line uses."""

from __future__ import annotations

from cryptml.errors import SettingError
from cryptml.fhe.backends.base import Backend

BACKENDS = ("integer", "concrete-ml")


def load_backend(name: str, source: str, trusted: str | None = None) -> Backend:
    """Return a back end.

    Args:
        name: One of `BACKENDS`.
        source: Folder or shipped name of the network to compile: Concrete ML needs its Brevitas parameters too.
        trusted: The ``module:function`` that a network of one's own was built by, which Concrete ML's back end runs.

    Raises:
        SettingError: If there is none of that name.
    """
    if name == "integer":
        from cryptml.fhe.backends.compilation import compile_integer_program

        return compile_integer_program
    if name == "concrete-ml":
        import cryptml.networks.quiet  # noqa: F401 (before Concrete ML)
        from cryptml.fhe.backends.concrete_ml import ConcreteMLBackend

        return ConcreteMLBackend(source, trusted)
    raise SettingError(f"backend {name!r} is unknown; use {' or '.join(BACKENDS)}")
