"""What the documents claim is what the files beside them say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cryptml.networks import load_network, resolve_network
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.splits import Split

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(ROOT.glob("*.md"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_placeholder_is_left_and_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"@[A-Z]+@", text)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize(("name", "loss"), [("conv", 0.03), ("deep", 0.02), ("reference", 0.03), ("scatter", 0.025)])
def test_the_quantised_network_stays_near_its_teacher_and_the_readme_says_so(name: str, loss: float) -> None:
    folder = resolve_network(name)
    validated = json.loads((folder / "figures.json").read_text())["cross_validation"]
    assert validated["folds"] == 5
    teacher, quantised = validated["teacher"], validated["quantised"]
    assert teacher["auc"] - quantised["auc"] <= loss
    readme, card = (ROOT / "README.md").read_text(), (folder / "MODEL_CARD.md").read_text()
    for figures in (teacher, quantised):
        cells = f"| {figures['auc']:.3f} | {figures['auc_low']:.3f} to {figures['auc_high']:.3f} |"
        assert cells in readme
        assert cells in card


@pytest.mark.parametrize("name", ["conv", "deep", "reference", "scatter", "tiny"])
def test_shipped_networks_have_a_card_with_their_command_and_a_default_split(name: str) -> None:
    folder = resolve_network(name)
    network = load_network(name)
    card = (folder / "MODEL_CARD.md").read_text()
    assert f"--network {name} " in card
    assert "--seed" in card
    assert "Research use only" in card
    Split(DEFAULT_SPLITS[name]).require_length(len(network))
    assert 3 <= len(network) <= 9
