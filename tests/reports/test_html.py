"""The page of a report, drawn by a real browser where there is one."""

from __future__ import annotations

import copy
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptml.errors import InputError
from cryptml.reports.html import embed_json, render_html
from tests.reports.browser import Browser
from tests.reports.report_samples import compose, mark_frontier, sample_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><img src=x onerror=\"document.title='run'\">&<!--<script>\u2028\u2029$script"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    one = Browser(CHROMIUM, tmp_path_factory.mktemp("chromium"))
    yield one
    one.close()


def open_page(browser: Browser, folder: Path, reports: list[dict[str, Any]]) -> None:
    path = folder / "page.html"
    path.write_text(render_html(reports))
    browser.open(path)
    assert browser.complaints == []
    assert browser.requests == [path.as_uri()]


def same(value: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return value.keys() == expected.keys() and all(same(value[name], expected[name]) for name in expected)
    if isinstance(expected, float) and isinstance(value, (int, float)):
        return math.isclose(value, expected, rel_tol=1e-9)
    return value == expected


def composed_in_page(browser: Browser, splits: list[str], bandwidth: float, rtt: float) -> list[dict[str, Any]]:
    return browser.evaluate(f"{json.dumps(splits)}.map((split) => cryptml.compose(split, {bandwidth}, {rtt}))")


def texts(browser: Browser, selector: str) -> list[str]:
    return browser.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)")


def drag(browser: Browser, slider: str, value: float) -> None:
    """Move a slider as a hand does, and wait until the page has drawn."""
    browser.evaluate(
        f"(() => {{ const one = document.getElementById('{slider}'); one.value = {value};"
        "one.dispatchEvent(new Event('input')); return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))); })()"
    )


def search(browser: Browser, words: str) -> None:
    browser.evaluate(
        f"(() => {{ const one = document.getElementById('search'); one.value = {json.dumps(words)};"
        "one.dispatchEvent(new Event('input')); })()"
    )


def test_no_report_is_refused() -> None:
    with pytest.raises(InputError, match="no profile report"):
        render_html([])


def test_the_page_is_one_file_that_connects_to_nothing() -> None:
    page = render_html([sample_report(4), sample_report(4, seed=1)])
    assert not re.search(r"https?://|//cdn|@import|url\(|src=|href=", page)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", page)


def test_embedded_json_cannot_leave_its_element() -> None:
    text = embed_json({"name": HOSTILE})
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == {"name": HOSTILE}
    with pytest.raises(ValueError, match="JSON"):
        embed_json([math.nan])


@pytest.mark.parametrize(("bandwidth", "rtt"), [(100.0, 20.0), (1.0, 500.0), (10_000.0, 0.0)])
def test_the_page_composes_every_split_as_the_format_says(
    browser: Browser, tmp_path: Path, bandwidth: float, rtt: float
) -> None:
    report = sample_report(8, seed=3)
    open_page(browser, tmp_path, [report])
    listed = [split["split"] for split in report["splits"]]
    expected = [compose(report, split, bandwidth, rtt) for split in listed]
    mark_frontier(expected)
    assert {split["origin"] for split in expected} == {"measured", "composed", "estimated", "infeasible"}
    for value, split in zip(composed_in_page(browser, listed, bandwidth, rtt), expected, strict=True):
        assert same(value, split), split["split"]


def test_dragging_moves_the_frontier_and_reset_brings_it_back(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(6, seed=2)
    open_page(browser, tmp_path, [report])
    browser.evaluate("document.getElementById('only-frontier').click()")

    def frontier() -> set[str]:
        return {re.sub("[^CS]", "", text) for text in texts(browser, "#splits tbody td:first-child")}

    def expected(bandwidth: float, rtt: float) -> set[str]:
        splits = [compose(report, split["split"], bandwidth, rtt) for split in report["splits"]]
        mark_frontier(splits)
        return {split["split"] for split in splits if split["on_frontier"]}

    assert len(expected(100, 20)) <= 25
    assert frontier() == expected(100, 20)
    drag(browser, "bandwidth", 0)
    drag(browser, "rtt", 500)
    assert frontier() == expected(1, 500) != expected(100, 20)
    assert texts(browser, "output") == ["1.00 Mbit/s", "500 ms"]
    browser.evaluate("document.getElementById('reset').click()")
    assert frontier() == expected(100, 20)


def test_equal_splits_share_the_frontier(browser: Browser, tmp_path: Path) -> None:
    """Segments of equal cost and no parameters give many ties in every objective."""
    report = sample_report(6)
    costs = report["segments"][0]["server"]
    for segment in report["segments"]:
        segment["server"] = costs
        segment["client"]["run_ms"] = [1.0]
    for layer in report["network"]["layers"]:
        layer["parameters"] = 10
    splits = [compose(report, split["split"], 100.0, 20.0) for split in report["splits"]]
    open_page(browser, tmp_path, [report])
    value = composed_in_page(browser, [split["split"] for split in splits], 100.0, 20.0)
    # The oracle judges the page's own sums: ties are exact there, whatever the order of addition.
    judged = copy.deepcopy(value)
    mark_frontier(judged)
    assert [split["on_frontier"] for split in value] == [
        split["on_frontier"] if split["origin"] != "infeasible" else False for split in judged
    ]


def test_every_split_of_12_layers_is_recomputed_and_drawn(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(12, verified=False)
    open_page(browser, tmp_path, [report])
    assert texts(browser, "#count") == ["4,096 of 4,096 splits"]
    assert len(texts(browser, "#splits tbody tr")) == 25
    drag(browser, "rtt", 77)
    assert 0 < browser.evaluate("cryptml.recomputeMs") < 500
    dots = browser.evaluate(
        "[...document.querySelectorAll('#chart path')].map((one) => one.getAttribute('d')).join('')"
    )
    assert dots.count("M") == sum(split["origin"] != "infeasible" for split in report["splits"])
    listed = [split["split"] for split in report["splits"]]
    page = {split["split"] for split in composed_in_page(browser, listed, 100, 20) if split["on_frontier"]}
    assert page == {split["split"] for split in report["splits"] if split["on_frontier"]}


def test_more_than_12_layers_show_the_listed_splits(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(13, verified=False)
    # What is listed for more than 12 layers is the frontier; ten of it do here.
    report["splits"] = report["splits"][:10]
    open_page(browser, tmp_path, [report])
    assert texts(browser, "#count") == ["10 of 10 splits"]
    assert "More than 12 layers" in texts(browser, "#notes")[0]
    (other,) = composed_in_page(browser, ["S" + "C" * 12], 50, 5)
    assert same(other | {"on_frontier": False}, compose(report, "S" + "C" * 12, 50, 5))


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(8)
    report["network"]["name"] = HOSTILE
    report["machine"]["cpu"] = HOSTILE
    report["machine"]["versions"][HOSTILE] = HOSTILE
    for layer in report["network"]["layers"]:
        layer["name"] += HOSTILE
    for segment in report["segments"]:
        segment["exposure"]["attack"] = HOSTILE
        segment["server"]["reason"] = HOSTILE
    for split in report["splits"]:
        split["reason"] = HOSTILE
    open_page(browser, tmp_path, [report, report])
    assert browser.evaluate("document.title") == f"CRYPTML: {HOSTILE}"
    assert browser.evaluate("document.querySelectorAll('img, #facts *:not(div):not(dt):not(dd)').length") == 0
    assert browser.evaluate("document.scripts.length") == 2
    assert HOSTILE in texts(browser, "#title")[0]


def test_searching_sorting_and_selecting(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(5)
    open_page(browser, tmp_path, [report])

    def rows() -> list[str]:
        return [re.sub("[^CS]", "", text) for text in texts(browser, "#splits tbody td:first-child")]

    search(browser, "sscs")
    assert set(rows()) == {"SSCSC", "SSCSS", "CSSCS", "SSSCS"}
    search(browser, "server:act1 client:conv1")
    assert len(rows()) == 8
    assert all(split.startswith("CS") for split in rows())
    search(browser, "server:nothing")
    assert rows() == []
    assert "client:LAYER" in texts(browser, "#count")[0]
    search(browser, "")

    def sorts() -> list[str]:
        return browser.evaluate(
            "[...document.querySelectorAll('#splits th')].filter((one) => one.ariaSort !== 'none').map((one) => one.dataset.key + ' ' + one.ariaSort)"
        )

    assert sorts() == ["latency ascending"]
    by_key = "document.querySelector('#splits th[data-key=\"server-peak\"] button').click()"
    for direction in ("ascending", "descending"):
        browser.evaluate(by_key)
        assert sorts() == [f"server-peak {direction}"]
        shown = {split["split"]: split["server_peak_bytes"] for split in report["splits"]}
        peaks = [shown[split] for split in rows()]
        assert peaks == sorted(peaks, reverse=direction == "descending")
    browser.evaluate("document.querySelector('#splits tbody tr').click()")
    chosen = rows()[0]
    assert texts(browser, "#splits tr[aria-selected='true'] .cells") == [chosen]
    assert chosen in texts(browser, "#selected")[0]
    assert len(texts(browser, "#exposure tbody tr")) == len(re.findall("S+", chosen))


def test_infeasible_is_shown_with_its_reason_and_never_drawn(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(8)
    open_page(browser, tmp_path, [report])
    search(browser, "SSSSSSSS")
    assert "compiling 8 layers took more than 900 s" in texts(browser, "#splits tbody tr")[0]
    assert any("infeasible: compiling 8 layers" in text for text in texts(browser, "#segments tr"))


def test_a_report_of_nothing_feasible_still_draws(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(3, verified=False)
    report["fit"] = None
    for segment in report["segments"]:
        segment["server"].update(status="infeasible", cost=None, reason="no memory")
    report["splits"] = [split for split in report["splits"] if "S" in split["split"]]
    open_page(browser, tmp_path, [report])
    assert "No feasible split" in texts(browser, "#chart")[0]


def test_the_arrow_keys_walk_the_frontier(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(6)
    open_page(browser, tmp_path, [report])
    walk = [split for split in report["splits"] if split["on_frontier"]]
    walk.sort(key=lambda split: split["latency_ms"])
    press = "document.getElementById('chart').dispatchEvent(new KeyboardEvent('keydown', {key: 'Arrow%s'}))"
    for _ in walk:
        browser.evaluate(press % "Left")
    assert walk[0]["split"] in texts(browser, "#selected")[0]
    browser.evaluate(press % "Right")
    assert walk[1]["split"] in texts(browser, "#selected")[0]
    assert "on the frontier" in texts(browser, "#tip")[0]


def test_verification_shows_errors(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(5)
    first = report["verification"]["splits"][0]
    first["predicted"]["latency_ms"], first["measured"]["latency_ms"] = 900.0, [1000.0, 990.0, 1020.0]
    open_page(browser, tmp_path, [report])
    cells = texts(browser, "#verification tbody tr:first-child td")
    assert cells[1:4] == ["900 ms", "1.00 s990 ms–1.02 s", "−10.0 %"]
    open_page(browser, tmp_path, [sample_report(5, verified=False)])
    assert browser.evaluate("document.getElementById('verification-section').hidden")


def test_two_reports_are_compared(browser: Browser, tmp_path: Path) -> None:
    base, later = sample_report(5), sample_report(5, slower=2)
    later["machine"]["cpu"] = "Intel Xeon"
    later["segments"][-1]["server"].update(status="infeasible", cost=None, reason="no memory")
    open_page(browser, tmp_path, [base, later])
    assert texts(browser, "#differences tr.differs td") == ["cpu", "≠", "AMD EPYC 7B13", "Intel Xeon"]
    assert texts(browser, "#split-changes tbody tr td:last-child")[0] == "became infeasible"
    assert "100 % slower" in texts(browser, "#segment-changes tbody tr td:last-child")
    # The page's ratio is that of the oracle at the sliders' network.
    letters, *_, change = texts(browser, "#split-changes tbody tr:nth-child(17) td")
    ratio = compose(later, letters, 100, 20)["latency_ms"] / compose(base, letters, 100, 20)["latency_ms"]
    number = re.match(r"[\d.]+", change)
    assert number is not None
    assert float(number[0]) == pytest.approx((ratio - 1) * 100, rel=0.01)
    browser.evaluate(
        "(() => { const one = document.getElementById('report'); one.value = '1'; one.dispatchEvent(new Event('change')); })()"
    )
    assert "Intel Xeon" in texts(browser, "#facts")[0]
    assert browser.complaints == []


def test_networks_of_other_lengths_are_said_to_be_unmatched(browser: Browser, tmp_path: Path) -> None:
    open_page(browser, tmp_path, [sample_report(4), sample_report(5), sample_report(4)])
    assert "4 and 5 layers" in texts(browser, "#comparison-note")[0]
    assert texts(browser, "#split-changes td") == ["not comparable"]


@pytest.mark.parametrize("width", [400, 900, 1280, 1600])
def test_nothing_lies_past_the_edge_or_over_another(browser: Browser, tmp_path: Path, width: int) -> None:
    browser.resize(width, 900)
    open_page(browser, tmp_path, [sample_report(7), sample_report(7, seed=1)])
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    overlaps = browser.evaluate(
        "(() => { const all = [...document.querySelectorAll('header, main > section, .pair > section')].filter((one) => !one.hidden && one.id !== 'whatif')"
        ".map((one) => one.getBoundingClientRect()); let found = 0;"
        "all.forEach((a, i) => all.slice(i + 1).forEach((b) => { if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) found += 1; }));"
        "return found; })()"
    )
    assert overlaps == 0


def test_one_key_set_stands_beside_one_for_each(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(5, seed=4)
    open_page(browser, tmp_path, [report])
    chosen = next(split for split in report["splits"] if split["split"] == "CSCSC")
    shared = chosen["shared_keys"]
    assert shared["setup_ms"] < chosen["setup_ms"]
    search(browser, "CSCSC")
    browser.evaluate("document.querySelector('#splits tbody tr').click()")
    rows = browser.evaluate(
        "[...document.querySelectorAll('#key-sets tbody tr')].map((row) => row.cells[0].textContent)"
    )
    assert rows == ["latency", "setup, once", "evaluation keys", "client peak memory", "server peak memory"]
    (latency, *_) = browser.evaluate(
        "[...document.querySelectorAll('#key-sets tbody tr')].map((row) => [row.cells[1].textContent, row.cells[2].textContent])"
    )
    assert latency[0] == latency[1]
    assert "less setup, and no answer takes longer" in texts(browser, "#selected")[0]
    search(browser, "CCCSC")
    browser.evaluate("document.querySelector('#splits tbody tr').click()")
    assert texts(browser, "#key-sets") == []


def test_a_profile_measured_beside_other_work_says_so(browser: Browser, tmp_path: Path) -> None:
    report = sample_report(3)
    for samples, said in (([100.0, 101.0, 100.0], False), ([100.0, 200.0, 101.0], True), ([1.0, 9.0, 1.0], False)):
        for segment in report["segments"]:
            segment["server"]["samples"]["evaluate_ms"] = samples
        open_page(browser, tmp_path, [report])
        assert ("the machine did other work meanwhile" in texts(browser, "#notes")[0]) == said
