"""The documentation builds without a warning, loads nothing from elsewhere, and has a page for each command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytest.importorskip("mkdocs", reason="mkdocs is not installed")
pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert "ERROR" not in done.stderr
    return folder


class Loaded(HTMLParser):
    """Addresses of what a page loads by itself: not those that a reader may click."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}.get(tag)
        self.addresses += [value for key, value in attrs if key == name and value]


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text())
        for address in loaded.addresses:
            assert not re.match(r"(?:\w+:)?//", address), f"{page.name} loads {address}"
            if not address.startswith(("data:", "/")):
                assert (page.parent / address.partition("?")[0]).exists(), (
                    f"{page.name} loads {address}, which is not there"
                )
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:\w+:)?//", style.read_text()), style


def test_each_command_has_its_help(site: Path) -> None:
    own, profiler = ((site / "reference" / f"{name}.html").read_text() for name in ("cryptml", "split-profiler"))
    for command in ("train", "build", "serve", "predict", "tenants add", "keys passphrase", "database upgrade"):
        assert f"cryptml {command}<" in own, command
    assert own.count("Usage: cryptml") > 25
    for command in ("run", "show", "choose", "verify", "audit", "compare", "html", "list"):
        assert f"Usage: split-profiler {command}" in profiler, command


def test_requests_and_python_are_described(site: Path) -> None:
    http = (site / "reference" / "http.html").read_text()
    assert "POST /v1/models/{model_name}/segments" in http or "POST /v1/models/{model}/segments" in http
    for page, name in (("cryptml_client", "AsyncClient"), ("splits", "enumerate_splits"), ("bundle", "build_bundle")):
        assert name in (site / "reference" / "python" / f"{page}.html").read_text()


def test_links_to_the_repository_become_paths(site: Path) -> None:
    security = (site / "project" / "security.html").read_text()
    assert "../benchmarks/hardening.html" in security
    assert "docs/benchmarks" not in security
