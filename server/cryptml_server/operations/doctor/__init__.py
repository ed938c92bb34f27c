"""Looks at a deployment and says what is wrong with it, or may become so; it changes nothing that stays."""

from cryptml_server.operations.doctor.deployment import Deployment, Finding
from cryptml_server.operations.doctor.examination import CHECKS, examine

__all__ = ["CHECKS", "Deployment", "Finding", "examine"]
