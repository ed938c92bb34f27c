"""Trained networks that come with the package, one folder each, with a model card beside the weights."""

from collections.abc import Mapping

DEFAULT_SPLITS: Mapping[str, str] = {
    "conv": "SSSSS",
    "deep": "SSS",
    "line": "SSS",
    "reference": "CCSSS",
    "scatter": "SSS",
    "tiny": "CCSSS",
}
"""The split that each is shown and measured with unless another is asked for."""

FOR_TESTS = frozenset({"tiny"})
"""Of these networks, and architectures: quick to train and to compile, and worse than a logistic regression."""

FOR_TESTS_SAID = (
    "is the test network: quick to train and to compile, for tests and tutorials, and worse than a logistic regression"
)
