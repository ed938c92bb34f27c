"""An audit as a notebook asks for it: what is attacked, what is refused, what comes back."""

from __future__ import annotations

import dataclasses

import pytest

from cryptml.errors import NetworkError, SettingError, SplitError
from cryptml.exposure import auditing
from cryptml.exposure.audit import audit_segment
from cryptml.exposure.auditing import AuditRequest, audit
from cryptml.exposure.facts import segment_exposure
from cryptml.exposure.results import SEEN, AttackedSegment, NetworkAudit, SplitAudit, learned_for_certain
from cryptml.listening import SilentListener
from cryptml.networks import Network
from cryptml.splits import Segment, Split


class Heard(SilentListener):
    """Keeps what it is told of."""

    def __init__(self) -> None:
        self.whats: list[str] = []

    def stage(self, what: str):  # type: ignore[no-untyped-def]
        self.whats.append(what)
        return super().stage(what)

    def bar(self, what: str, total: int):  # type: ignore[no-untyped-def]
        self.whats.append(f"{what}: {total}")
        return super().bar(what, total)


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        (AuditRequest("tiny", p_error=0), SettingError, "`p_error` 0 is no probability"),
        (AuditRequest("tiny", p_error=float("nan")), SettingError, "`p_error` nan"),
        (AuditRequest("tiny", "CCCCC", all_splits=True), SettingError, "`all_splits` and `split` contradict"),
        (AuditRequest("tiny", "CCC"), SplitError, "3"),
        (AuditRequest("tiny", "CCSSS", queries=3), SettingError, "budget of 3 queries"),
        (AuditRequest("nobody"), NetworkError, "nobody"),
    ],
)
def test_what_cannot_be_audited_is_refused(request_: AuditRequest, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        audit(request_)


def test_of_a_network_of_many_layers_a_split_is_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "MAX_AUDITED_LAYERS", 4)
    with pytest.raises(SettingError, match="5 layers, too many for `all_splits`; at most 4, so give `split`"):
        audit(AuditRequest("tiny", all_splits=True))


def test_a_client_that_has_everything_needs_no_attack() -> None:
    found = audit(AuditRequest("tiny", "CCCCC"))
    assert isinstance(found, SplitAudit)
    assert (found.segments, found.server_sees) == ((), [])
    assert found.encrypted.skipped == "no linear server segment with anything to learn"
    assert set(found.learned.values()) == {"the client holds it in the clear"}
    assert found.exposure.client_parameter_share == 1


def test_all_splits_of_a_network(tiny: Network) -> None:
    heard = Heard()
    found = audit(AuditRequest("tiny", all_splits=True, queries=50, encrypted=False), listener=heard)
    assert isinstance(found, NetworkAudit)
    assert heard.whats == ["attacking segments: 15"]
    assert len(found.splits) == 2 ** len(tiny)
    exact = {each.segment for each in found.segments if each.recovery.exact}
    parameters = {each.segment: each.exposure.parameters for each in found.segments}
    for split, exposure, attacked in found.splits:
        assert attacked == sum(parameters[each] for each in split.server_segments if each in exact)
        assert exposure.decrypted_boundaries == len(split.server_segments)
    document = found.to_json()
    assert list(document)[-1] == "encrypted"
    assert document["encrypted"] == {"skipped": "not asked for"}


@pytest.mark.encrypted
def test_a_linear_segment_is_attacked_on_ciphertexts_too() -> None:
    heard = Heard()
    found = audit(AuditRequest("tiny", "CCSCC"), listener=heard)
    assert isinstance(found, SplitAudit)
    assert heard.whats == [
        "attacking segments: 1",
        "compiling segment 2-3",
        "compiling segment 2-3",
        f"attacking segment 2-3 on ciphertexts: {found.segments[0].exposure.queries}",
    ]
    assert found.encrypted.skipped is None
    assert found.encrypted.recovery is not None
    assert found.encrypted.recovery.exact
    (seen,) = found.server_sees
    assert tuple(seen) == SEEN
    few = audit(AuditRequest("tiny", "CCSCC", encrypted_queries=1))
    assert "needs 3 queries, `encrypted_queries` allows 1" in str(few.encrypted.skipped)


def test_what_an_attack_recovered_exactly_is_learned_for_certain(tiny: Network) -> None:
    split, segment = Split("CSSCC"), Segment(1, 3)
    names = [layer.name for layer in tiny.layers]
    recovery = audit_segment(tiny, segment, budget=50)
    facts = dataclasses.replace(segment_exposure(tiny, segment), queries=None, linear=False)
    for exact, expected in ((False, None), (True, "77 queries recovered segment 1-3")):
        attacked = AttackedSegment(segment, facts, dataclasses.replace(recovery, exact=exact, queries=77))
        learned = learned_for_certain(names, split, [attacked], 10)
        assert learned.get(names[1]) == learned.get(names[2]) == expected
        assert learned[names[0]] == "the client holds it in the clear"
