"""The client half of a bundle, from a service that is not believed."""

from __future__ import annotations

from cryptml.bundle.client import ClientBundle
from cryptml.bundle.manifest import check_name
from cryptml.errors import ServiceProtocolError, printable
from cryptml.networks.front_ends import require_present
from cryptml_client.http.answers import JSON, OCTETS
from cryptml_client.transport import MAX_JSON_BYTES, Transport

MAX_BUNDLE_BYTES = 64 << 20


def fetch_bundle(transport: Transport, model: str | None) -> ClientBundle:
    """Return a service's client bundle, its files compared with their digests; nothing of it is believed yet.

    Args:
        transport: To the service.
        model: Whose; the only one if None.

    Raises:
        ServiceError: If it cannot be fetched.
        BundleError: If it is damaged or contradicts itself.
        NetworkError: If it reads pictures through a backbone that is not installed here.
    """
    model = model or _only_model(transport)
    path = f"/v1/models/{check_name(model)}/client-bundle"
    manifest, _ = transport.request("GET", path, limit=MAX_JSON_BYTES, kind=JSON)
    entries = ClientBundle.file_names(manifest)
    size = sum(entry["bytes"] for entry in entries.values())
    if size > MAX_BUNDLE_BYTES:
        raise ServiceProtocolError(f"the client bundle has {size} bytes, more than {MAX_BUNDLE_BYTES}; do not fetch it")
    files = {
        name: transport.request("GET", f"{path}/{check_name(name)}", limit=entry["bytes"], kind=OCTETS)[0]
        for name, entry in entries.items()
    }
    bundle = ClientBundle.parse(manifest, files)
    if bundle.model != model:
        raise ServiceProtocolError(f"asked for model {model!r}, the service sent {bundle.model!r}; check the address")
    require_present(bundle.front_end)
    return bundle


def _only_model(transport: Transport) -> str:
    try:
        names = [printable(str(entry["model"]))[:64] for entry in transport.get_json("/v1/models")["models"]]
    except (KeyError, TypeError) as error:
        raise ServiceProtocolError("the service's list of models is not one; check the address") from error
    if len(names) != 1:
        raise ServiceProtocolError(f"the service has {len(names)} models ({', '.join(names[:10])}); name one")
    return names[0]
