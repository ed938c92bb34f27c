"""Commands of an operator who runs a service."""
