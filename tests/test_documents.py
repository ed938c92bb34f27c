"""What the documents claim is what the files beside them say."""

from __future__ import annotations

import importlib
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptml.networks import load_network, resolve_network
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.splits import Split

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(ROOT.glob("*.md"))
PAGES = sorted([*DOCUMENTS, *(ROOT / "docs").rglob("*.md")])
STANDARD = ROOT / "docs" / "dicom-attributes.md"
"""Whose words are those of DICOM."""

NETWORKS = ROOT / "docs" / "benchmarks" / "networks.md"

MOST_BYTES = {"README.md": 8_000, "ARCHITECTURE.md": 10_000}

OTHER_WORDS = {
    r"\blookups?\b": "PBS",
    r"\bengine\b": "Concrete, the compiler or the runtime",
    r"\bwaves?\b": "negacyclic activation",
    r"\bgiv(?:e|es|en|ing) away\b": "exposed parameters",
    r"\bneighbouring (?:bin|entry)\b": "off by one table entry",
    r"\bby (?:woman|patient)\b": "per patient",
    r"\bseats?\b": "worker slot",
    r"\bloud(?:ness|ly)\b": "amplitude",
    r"\bout of breath\b|\bof nobody\b": "plain words",
}
"""Words that have one of the glossary in their place."""


def prose(path: Path) -> str:
    """A document without its code, whose words are those of the programs."""
    return re.sub(r"`[^`]*`", "", re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_placeholder_is_left_and_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"@[A-Z]+@", text)
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        generated = target.endswith(("reference/cryptml.md", "split-profiler.md", "http.md"))
        assert generated or (path.parent / target).exists() or target in ("cryptml.md",), target


@pytest.mark.parametrize(
    "path", [path for path in PAGES if path != STANDARD], ids=lambda path: str(path.relative_to(ROOT))
)
def test_one_word_a_concept(path: Path) -> None:
    text = prose(path)
    for word, instead in OTHER_WORDS.items():
        found = re.search(word, text, re.IGNORECASE)
        assert found is None, f"{found[0]!r} in {path.name}; write {instead}" if found else ""


CARDS = sorted((ROOT / "cryptml" / "networks" / "shipped").glob("*/MODEL_CARD.md"))
PROGRAMS = sorted(
    path
    for folder in ("cryptml", "server/cryptml_server", "client/cryptml_client", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
MODULES = [
    str(path.relative_to(ROOT))
    for folder in ("benchmarks", "client", "cryptml", "examples", "make", "server", "tests")
    for path in (ROOT / folder).rglob("*.py")
]
OF_ANOTHER_FIELD = {
    "attributes": "attributes of DICOM",
    "wavelets.py": "waves that are waves",
    "scattering.py": "waves that are waves",
    "engine.py": "SQLAlchemy's",
}
"""Files and folders in which a word is meant as it stands."""


def said(path: Path) -> Iterator[str]:
    """Texts and comments of a module; a text that is a name is a key of a file format, and stays."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            quoted = re.sub(r"\{[^{}]*\}", "x", re.sub(r"^[a-z]*[\"']+|[\"']+$", "", token.string))
            if token.type in (tokenize.STRING, tokenize.COMMENT) and not quoted.isidentifier():
                yield re.sub(r"`[^`]*`", "", quoted)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_cards_of_shipped_networks_have_the_words_of_the_documents(path: Path) -> None:
    test_one_word_a_concept(path)


def test_programs_have_the_words_of_the_documents() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {found[0]!r}, write {instead}"
        for path in PROGRAMS
        if not OF_ANOTHER_FIELD.keys() & set(path.parts)
        for text in said(path)
        for word, instead in OTHER_WORDS.items()
        if (found := re.search(word, text, re.IGNORECASE))
    ]
    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_are_there(path: Path) -> None:
    for name in re.findall(
        r"`((?:cryptml|cryptml_client|cryptml_server|benchmarks|examples|make|tests)/[\w/.-]+)`", path.read_text()
    ):
        places = [ROOT / name, ROOT / "client" / name, ROOT / "server" / name]
        assert any(place.exists() for place in places), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_are_named_in_short_are_there(path: Path) -> None:
    for name in re.findall(r"`([\w/]+\.py)`", path.read_text()):
        assert any(f"/{each}".endswith(f"/{name}") for each in MODULES), name


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "reference" / "python").glob("*.md")), ids=lambda path: path.name
)
def test_members_of_the_reference_are_there(path: Path) -> None:
    for module, members in re.findall(
        r"^::: ([\w.]+)$(?:(?!^:::).)*?members: \[([^\]]*)\]", path.read_text(), re.M | re.S
    ):
        for member in filter(None, (each.strip() for each in members.split(","))):
            assert hasattr(importlib.import_module(module), member), f"{module}.{member}"


@pytest.mark.parametrize("name", MOST_BYTES)
def test_documents_are_short(name: str) -> None:
    assert (ROOT / name).stat().st_size <= MOST_BYTES[name]


@pytest.mark.parametrize(
    ("name", "loss"), [("conv", 0.03), ("deep", 0.02), ("line", 0.0), ("reference", 0.03), ("scatter", 0.025)]
)
def test_the_quantised_network_stays_near_its_teacher_and_the_documents_say_so(name: str, loss: float) -> None:
    folder = resolve_network(name)
    validated = json.loads((folder / "figures.json").read_text())["cross_validation"]
    assert validated["folds"] == 5
    teacher, quantised = validated["teacher"], validated["quantised"]
    assert teacher["auc"] - quantised["auc"] <= loss
    readme, page, card = (path.read_text() for path in (ROOT / "README.md", NETWORKS, folder / "MODEL_CARD.md"))
    interval = f"{quantised['auc_low']:.3f} to {quantised['auc_high']:.3f}"
    assert f"| {teacher['auc']:.3f} | {quantised['auc']:.3f} ({interval}) |" in readme
    for figures in (teacher, quantised):
        cells = f"| {figures['auc']:.3f} | {figures['auc_low']:.3f} to {figures['auc_high']:.3f} |"
        assert cells in page
        assert cells in card


@pytest.mark.parametrize("name", ["conv", "deep", "line", "reference", "scatter", "tiny"])
def test_shipped_networks_have_a_card_with_their_command_and_a_default_split(name: str) -> None:
    folder = resolve_network(name)
    network = load_network(name)
    card = (folder / "MODEL_CARD.md").read_text()
    assert f"--network {name} " in card
    assert "--seed" in card
    assert "Research use only" in card
    Split(DEFAULT_SPLITS[name]).require_length(len(network))
    assert 3 <= len(network) <= 9
