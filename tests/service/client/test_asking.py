"""Pictures, studies and whole mammograms through `cryptml_client`'s own calls, against a service that answers in the clear."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from cryptml_client import Prediction, SpotCheckFailed
from cryptml_client.asking import AskedPicture, PictureRequest, answer_pictures, read_pictures, require_same_network
from cryptml_client.heat_map import PRIVATE, ScanRequest, scan_mammogram
from cryptml_client.jobs import JobBook

from cryptml.bundle import ClientBundle
from cryptml.errors import ImageError, JournalError, RangeError, ServiceTimeout, SettingError
from cryptml.images import Region
from cryptml.images.study import ViewChoice
from cryptml.networks import FloatArray, Network
from cryptml.networks.rounding.envelope import matches_clear
from cryptml.splits import Split
from tests.conftest import BuildTiny
from tests.service.client.clear_client import Heard, client_of

SIDE = 8


@pytest.fixture(scope="module")
def bundle(build_tiny: BuildTiny) -> ClientBundle:
    return ClientBundle.load(build_tiny("CCCCC").folder / "client")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures and a damaged one between them."""
    random = np.random.default_rng(0)
    for name in ("a", "c"):
        pixels = random.integers(0, 255, (40, 30), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    return tmp_path


def read(folder: Path, **more: Any) -> list[AskedPicture]:
    return list(read_pictures(PictureRequest([folder / f"{name}.png" for name in "abc"], **more), SIDE))


def test_one_that_cannot_be_read_keeps_nothing_from_the_others(
    folder: Path, bundle: ClientBundle, tiny: Network
) -> None:
    stub, client = client_of(bundle, tiny)
    first, damaged, last = answer_pictures(client, read(folder), expected=tiny)
    assert (first.as_it_should_be, damaged.as_it_should_be, last.as_it_should_be) == (True, False, True)
    assert (first.matches_clear, damaged.matches_clear, first.approximate) == (True, None, False)
    assert isinstance(damaged.outcome, ImageError)
    assert damaged.to_json() == {"image": str(folder / "b.png"), "frame": None, "error": str(damaged.outcome)}
    document = json.loads(json.dumps(first.to_json()))
    assert list(document)[:3] == ["image", "frame", "source"]
    assert list(document)[-2:] == ["approximate", "matches_clear"]
    assert (first.asked.name, stub.asked) == ("a.png", 2)


def test_without_a_network_nothing_is_compared(folder: Path, bundle: ClientBundle, tiny: Network) -> None:
    _, client = client_of(bundle, tiny)
    found = list(answer_pictures(client, read(folder, region=Region(1, 2, 20))))
    assert [each.matches_clear for each in found] == [None] * 3
    assert found[0].as_it_should_be


def test_a_network_of_another_name_is_not_compared_with(bundle: ClientBundle, tiny: Network) -> None:
    require_same_network(tiny, bundle)
    with pytest.raises(SettingError, match=r"differs in name \(other; there tiny\); give `clear_check`"):
        require_same_network(replace(tiny, name="other"), bundle)


def test_an_answer_of_another_network_is_seen(folder: Path, bundle: ClientBundle, tiny: Network) -> None:
    stub, client = client_of(bundle, tiny)
    asked = read(folder)[:1]
    other = stub.predict_region

    def inverted(region: FloatArray, *, jobs: JobBook | None = None) -> Prediction:
        return other(1 - region, jobs=jobs)

    stub.predict_region = inverted  # type: ignore[method-assign]
    (found,) = answer_pictures(client, asked, expected=tiny)
    assert (found.matches_clear, found.as_it_should_be) == (False, False)


def test_what_lies_out_of_range_costs_one_picture_and_a_lost_service_all(
    folder: Path, bundle: ClientBundle, tiny: Network
) -> None:
    _, client = client_of(bundle, tiny, RangeError("it cannot be"))
    first, _, last = answer_pictures(client, read(folder))
    assert isinstance(first.outcome, RangeError)
    assert last.as_it_should_be
    _, client = client_of(bundle, tiny, None, ServiceTimeout("too slow"))
    answers = answer_pictures(client, read(folder))
    assert next(answers).as_it_should_be
    assert not next(answers).as_it_should_be
    with pytest.raises(ServiceTimeout):
        next(answers)


def test_where_no_picture_can_be_read_the_service_is_not_asked(
    folder: Path, bundle: ClientBundle, tiny: Network
) -> None:
    stub, client = client_of(bundle, tiny)
    request = PictureRequest([folder / "none", folder / "b.png", folder / "a.png"], views=ViewChoice("CC"))
    found = list(answer_pictures(client, read_pictures(request, SIDE)))
    assert [each.as_it_should_be for each in found] == [False] * 3
    assert "`view` and `laterality` choose" in found[2].to_json()["error"]
    assert (stub.asked, stub.prepared) == (0, False)


def test_clamped_values_have_no_right_answer(tiny: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    square = np.zeros((SIDE, SIDE), np.float32)
    answer = tiny.run(tiny.quantise(square[None]))[0]
    assert matches_clear(tiny, square, Split("CCSSS"), answer)
    assert not matches_clear(tiny, square, Split("CCSSS"), answer + 1000)
    monkeypatch.setattr("cryptml.networks.rounding.envelope.within_bins", lambda *_: np.array([False]))
    with pytest.raises(RangeError, match="no right answer"):
        matches_clear(tiny, square, Split("CCSSS"), answer)


@pytest.fixture
def mammogram(tmp_path: Path) -> Path:
    pixels = np.zeros((96, 64), np.uint8)
    pixels[:, :48] = np.random.default_rng(1).integers(120, 250, (96, 48))
    PIL.Image.fromarray(pixels).save(tmp_path / "whole.png")
    return tmp_path / "whole.png"


def test_a_mammogram_becomes_a_heat_map(mammogram: Path, bundle: ClientBundle, tiny: Network) -> None:
    stub, client = client_of(bundle, tiny)
    out = mammogram.with_name("heat.png")
    found = scan_mammogram(client, ScanRequest(mammogram, out, tile=16, step=16))
    assert stub.asked == len(found.answers) == len(found.answered) > 4
    assert {each.region.size for each in found.answers} == {16}
    with PIL.Image.open(out) as drawn:
        assert drawn.format == "PNG"
    assert out.stat().st_mode & 0o777 == PRIVATE
    assert not out.with_name("heat.png.journal").exists()
    document = json.loads(json.dumps(found.to_json()))
    assert list(document) == [
        "classes",
        "positive",
        "columns",
        "rows",
        "source",
        "split",
        "tiles",
        "squares",
        "seconds",
        "heat_map",
    ]
    assert (document["positive"], document["columns"], document["rows"]) == (found.positive, 64, 96)
    assert document["tiles"][0].keys() >= {"x", "y", "size", "probabilities", "milliseconds"}


def test_a_scan_that_breaks_off_goes_on(mammogram: Path, bundle: ClientBundle, tiny: Network) -> None:
    out = mammogram.with_name("heat.png")
    heard = Heard()
    _, client = client_of(bundle, tiny, None, None, ServiceTimeout("too slow"))
    with pytest.raises(ServiceTimeout):
        scan_mammogram(client, ScanRequest(mammogram, out), listener=heard)
    assert [note.partition(" of ")[0] for note in heard.notes] == ["2"]
    assert "`resume` goes on from there" in heard.notes[0]
    _, client = client_of(bundle, tiny, KeyboardInterrupt())
    with pytest.raises(
        KeyboardInterrupt, match=r"2 of \d+ squares are answered and kept in .*: the same command with `resume`"
    ):
        scan_mammogram(client, ScanRequest(mammogram, out, resume=True))
    stub, client = client_of(bundle, tiny)
    found = scan_mammogram(client, ScanRequest(mammogram, out, resume=True))
    assert stub.asked == len(found.answers) - 2


def test_a_service_that_is_found_out_leaves_nothing_to_go_on_from(
    mammogram: Path, bundle: ClientBundle, tiny: Network
) -> None:
    heard = Heard()
    _, client = client_of(bundle, tiny, None, SpotCheckFailed("it lies"))
    with pytest.raises(SpotCheckFailed):
        scan_mammogram(client, ScanRequest(mammogram, mammogram.with_name("heat.png")), listener=heard)
    assert (heard.notes, sorted(mammogram.parent.iterdir())) == ([], [mammogram])


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"positive": "odd"}, SettingError, "'odd' is none of them; name the one to show with `positive`"),
        ({"tile": 4}, ImageError, "smaller than the 8 pixels"),
        ({"views": ViewChoice("CC")}, ImageError, "is one picture"),
        ({"out": Path("/nowhere/heat.png")}, JournalError, "cannot be opened"),
    ],
)
def test_what_cannot_be_scanned(
    mammogram: Path, bundle: ClientBundle, tiny: Network, more: dict[str, Any], error: type[Exception], said: str
) -> None:
    stub, client = client_of(bundle, tiny)
    request = ScanRequest(**{"image": mammogram, "out": mammogram.with_name("heat.png"), **more})
    with pytest.raises(error, match=said):
        scan_mammogram(client, request)
    assert stub.asked == 0


def test_a_picture_that_shows_hardly_a_breast_is_asked_about_everywhere_on_request(
    tmp_path: Path, bundle: ClientBundle, tiny: Network
) -> None:
    pixels = np.zeros((96, 96), np.uint8)
    pixels[20:80, :26] = np.random.default_rng(1).integers(120, 250, (60, 26))
    PIL.Image.fromarray(pixels).save(tmp_path / "whole.png")
    request, heard = ScanRequest(tmp_path / "whole.png", tmp_path / "heat.png", tile=16, step=16), Heard()
    _, client = client_of(bundle, tiny)
    found = scan_mammogram(client, request, listener=heard)
    assert len(found.answers) * 3 < found.squares == 36
    assert heard.notes == [
        f"{len(found.answers)} of 36 squares are asked about, the others show less than half of the breast; `everywhere` asks about "
        "all, for pictures that are no mammograms"
    ]
    stub, client = client_of(bundle, tiny)
    found = scan_mammogram(client, replace(request, everywhere=True), listener=heard)
    assert (stub.asked, len(found.answers), len(heard.notes)) == (36, 36, 1)
