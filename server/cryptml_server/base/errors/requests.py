"""Requests that this service does not understand, or whose body it cannot use."""

from __future__ import annotations

from cryptml_server.base.errors.root import ServerError


class RequestError(ServerError):
    """The request is not one that this service understands."""


class AmbiguousLength(RequestError):
    """It says its length in two ways: a proxy may have read another one than it is."""

    kind = "ambiguous-length"


class InvalidRequestTarget(RequestError):
    """It asks neither for a path nor for an address with host and path."""

    kind = "invalid-request-target"


class MethodNotAllowed(RequestError):
    """The address does not support this HTTP method."""

    kind = "method-not-allowed"


class MisdirectedRequest(RequestError):
    """It was made for another host or scheme."""

    kind = "misdirected-request"


class NotAuthenticated(RequestError):
    """It has no token of a tenant, or one that was revoked."""

    kind = "not-authenticated"


class BodyTooLong(RequestError):
    """Its body has more bytes than this kind of body may have."""

    kind = "body-too-long"


class KeysTooLong(RequestError):
    """Evaluation keys have more bytes than those of their segment may have."""

    kind = "keys-too-long"


class UploadTooSlow(RequestError):
    """Its body did not come in time."""

    kind = "upload-too-slow"


class Unusable(ServerError):
    """What was sent is understood and cannot be used; sent again, it cannot either."""

    counts = True


class InvalidRequest(Unusable):
    """A parameter or header breaks the interface."""

    kind = "invalid-request"


class BodyTooShort(Unusable):
    """Its body has fewer bytes than this kind of body can have."""

    kind = "body-too-short"


class KeysTruncated(Unusable):
    """Evaluation keys have fewer bytes than those of their segment."""

    kind = "keys-truncated"


class DigestMismatch(Unusable):
    """Evaluation keys have another SHA-256 than their address."""

    kind = "digest-mismatch"


class UnusableKeys(Unusable):
    """Evaluation keys are malformed."""

    kind = "unusable-evaluation-keys"


class UnusableCiphertext(Unusable):
    """A ciphertext is malformed, or of another circuit or key set."""

    kind = "unusable-ciphertext"


class EvaluationFailed(Unusable):
    """Workers ended during it."""

    kind = "evaluation-failed"


class RequestQuarantined(EvaluationFailed):
    """Workers ended during this very request before; it is not tried again for a while."""

    counts = False
