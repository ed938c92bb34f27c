"""Encrypted networks with the habits of scikit-learn."""

from cryptml.estimator.classifier import EncryptedClassifier

__all__ = ["EncryptedClassifier"]
