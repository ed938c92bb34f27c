"""A user's own folder from its description to the figures of a network trained on it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from cryptml_client.heat_map import class_shown
from cryptml_client.prediction import Prediction
from PIL import Image
from typer.testing import CliRunner, Result

from cryptml.cli.main import app
from cryptml.datasets import load_dataset
from cryptml.errors import CryptmlError, DatasetError, SettingError
from cryptml.networks import load_network, save_network
from cryptml.runtime import Answer, Timings

runner = CliRunner()


def ran(*arguments: str) -> Result:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def refused(kind: type[CryptmlError], *arguments: str) -> str:
    result = runner.invoke(app, list(arguments))
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


def write_set(folder: Path, classes: tuple[str, ...], count: int = 96, mirrored: bool = True) -> Path:
    """Pictures of 16 x 16 pixels: the first class is brighter at the left, the second at the right, others at the top."""
    random = np.random.default_rng(len(classes))
    ramp = np.tile(np.linspace(-45, 45, 16), (16, 1))
    shapes = [-ramp, ramp, -ramp.T, ramp.T]
    for number in range(count):
        label = number % len(classes)
        pixels = 128 + shapes[label] + 12 * random.standard_normal((16, 16))
        file = folder / classes[label] / f"p{number // 2:02d}_{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set") / "films", ("malignant", "rest"), 160)


TRAIN = ("train", "--network", "tiny", "--epochs", "12", "--json")


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("own") / "network"
    result = ran(
        *TRAIN, "--dataset", f"folder:{pictures}", "--out", str(out), "--positive", "malignant",
        "--patients-from-name", "^(p[0-9]+)_",
    )  # fmt: skip
    return out, result


class TestDescribe:
    def test_counts(self, pictures: Path) -> None:
        found = json.loads(ran("datasets", "describe", f"folder:{pictures}", "--side", "8", "--json").stdout)
        assert found["pictures"] == 160
        assert found["patients"] is None
        assert sum(map(sum, found["counts"].values())) == 160
        assert found["counts"]["test"] == found["counts"]["validation"] == [12, 12]
        assert found["sizes"] == [{"columns": 16, "rows": 16, "pictures": 160}]
        assert (found["positive"], found["augmentation"], found["duplicates"]) == ("rest", "shift", [])

    def test_words_and_contact_sheet(self, pictures: Path, tmp_path: Path) -> None:
        sheet = tmp_path / "sheet.png"
        arguments = ["datasets", "describe", f"folder:{pictures}", "--side", "8", "--contact-sheet", str(sheet)]
        text = ran(*arguments).stdout
        assert "160 pictures, patients not known; positive class: rest" in text
        assert "12 (50%)" in text
        assert sheet.stat().st_mode & 0o777 == 0o600
        with Image.open(sheet) as drawn:
            assert (drawn.format, drawn.mode) == ("PNG", "RGB")
            assert drawn.width > 1000
        assert "exists" in refused(SettingError, *arguments)
        assert "160 pictures of 80 patients" in ran(*arguments, "--force", "--patients-from-name", "^(p[0-9]+)").stdout
        assert "is no folder" in refused(SettingError, *arguments[:-1], str(tmp_path / "no" / "sheet.png"))

    def test_duplicates_within_a_subset_are_a_line(self, tmp_path: Path) -> None:
        root = write_set(tmp_path / "s", ("a", "b"), 20)
        twin = root / "b" / "twin.png"
        twin.write_bytes((root / "a" / "p00_0.png").read_bytes())
        rows = [f"{file.parent.name}/{file.name};train" for file in root.rglob("*.png")]
        (root / "index.csv").write_text("\n".join(["file;subset", *rows]))
        result = ran("datasets", "describe", f"folder:{root}", "--side", "8")
        assert "the same picture: a/p00_0.png (a) = b/twin.png (b)" in result.stderr.replace("\n", " ")
        (root / "index.csv").write_text("\n".join(["file;subset", *rows]).replace("twin.png;train", "twin.png;test"))
        message = refused(DatasetError, "datasets", "describe", f"folder:{root}", "--side", "8")
        assert "a/p00_0.png (train, a) = b/twin.png (test, b)" in message

    def test_known_sets_and_views(self, tmp_path: Path) -> None:
        assert "120 pictures of 60 patients" in ran("datasets", "describe", "phantom:images=120", "--side", "8").stdout
        root = write_set(tmp_path / "s", ("a", "b"), 4)
        rows = [f"{file.parent.name}/{file.name};CC;left" for file in root.rglob("*.png")]
        (root / "index.csv").write_text("\n".join(["file;view;laterality", *rows]))
        assert "L CC" in ran("datasets", "describe", f"folder:{root}", "--side", "8").stdout

    def test_the_list_stays(self) -> None:
        assert ran("datasets").stdout == ran("datasets", "list").stdout
        assert ran("datasets", "--json").stdout == ran("datasets", "list", "--json").stdout

    def test_options_that_do_not_fit(self) -> None:
        assert "says itself whose" in refused(
            DatasetError, "datasets", "describe", "phantom", "--patients-from-name", "(.)"
        )


class TestPositive:
    def test_it_is_stored_and_named(self, trained: tuple[Path, Result]) -> None:
        folder, result = trained
        assert load_network(str(folder)).positive_class == "malignant"
        assert json.loads((folder / "network.json").read_text())["positive"] == "malignant"
        assert "positive class: malignant" in result.stderr
        card = (folder / "MODEL_CARD.md").read_text()
        for words in (
            "The positive class is malignant.",
            "AUC of malignant with its",
            "--augment shift --positive malignant --patients-from-name '^(p[0-9]+)_'",
            "| augmentation | shift |",
            "160 pictures of 80 patients",
        ):
            assert words in card
        figures = json.loads((folder / "figures.json").read_text())
        assert (figures["test"]["positive"], figures["settings"]["augmentation"]) == ("malignant", "shift")

    def test_networks_from_before_keep_their_meaning(self, trained: tuple[Path, Result], tmp_path: Path) -> None:
        network = load_network(str(trained[0]))
        save_network(network, tmp_path, architecture="tiny")
        document = json.loads((tmp_path / "network.json").read_text())
        del document["positive"]
        (tmp_path / "network.json").write_text(json.dumps(document))
        assert load_network(str(tmp_path)).positive_class == "rest"
        document["positive"] = "no such class"
        (tmp_path / "network.json").write_text(json.dumps(document))
        with pytest.raises(CryptmlError, match="no class 'no such class' to be the positive one"):
            load_network(str(tmp_path))

    def test_a_class_that_is_not_there(self, pictures: Path, tmp_path: Path) -> None:
        arguments = [*TRAIN, "--dataset", f"folder:{pictures}", "--out", str(tmp_path / "n"), "--positive", "benign"]
        assert "has no class 'benign' to be the positive one; choose one of malignant, rest" in refused(
            DatasetError, *arguments
        )


class TestFourClasses:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        root = write_set(tmp_path_factory.mktemp("four") / "set", ("a", "b", "c", "d"))
        out = root.parent / "network"
        result = ran(*TRAIN, "--dataset", f"folder:{root}", "--out", str(out), "--patients-from-name", "^(p[0-9]+)_")
        assert "4 classes and no positive one" in result.stderr
        return root, out

    def test_nothing_is_claimed_of_patients(self, folder: tuple[Path, Path], tmp_path: Path) -> None:
        root, out = folder
        curve = tmp_path / "roc.png"
        arguments = ["evaluate", str(out), "--dataset", f"folder:{root}", "--patients-from-name", "^(p[0-9]+)_"]
        found = json.loads(ran(*arguments, "--json", "--roc", str(curve)).stdout)
        assert (found["patient_level"], found["positive"], found["sensitivity"]) == (None, None, [])
        assert "of 4" in found["patient_level_refused"]
        assert curve.read_bytes().startswith(b"\x89PNG")
        text = ran(*arguments).stdout
        assert "each class against the others, averaged" in text
        assert "no figures per patient" in text

    def test_the_scan_has_to_be_told(self, folder: tuple[Path, Path]) -> None:
        network = load_network(str(folder[1]))
        assert network.positive_class is None
        with pytest.raises(SettingError, match="none is named; name the one to show with `positive`"):
            class_shown(network.classes, None, network.positive_class)


def test_a_scan_shows_the_positive_class_of_the_network_and_not_the_second_one() -> None:
    classes = ("malignant", "rest")
    assert class_shown(classes, None, "malignant") == 0
    assert class_shown(classes, "rest", "malignant") == 1


def test_a_prediction_names_the_positive_class() -> None:
    answer = Answer(
        np.array([3, 1]), np.array([2.0, 0.5], np.float32), np.array([0.82, 0.18], np.float32), "malignant", Timings({})
    )
    found = Prediction(answer, "S", 1, 2, positive=("malignant", 0.82)).to_json()
    assert (found["positive"], found["positive_probability"]) == ("malignant", 0.82)
    without = Prediction(answer, "S", 1, 2).to_json()
    assert (without["positive"], without["positive_probability"]) == (None, None)


class TestAugment:
    def test_classes_that_differ_in_direction_are_learned(self, trained: tuple[Path, Result]) -> None:
        """Turned and mirrored, they cannot be: the AUC was below one half without a word."""
        assert json.loads(trained[1].stdout)["test"]["auc"] > 0.9

    def test_what_the_user_chose_is_written_down_and_a_bad_result_said(self, pictures: Path, tmp_path: Path) -> None:
        arguments = [*TRAIN, "--dataset", f"folder:{pictures}", "--out", str(tmp_path / "n"), "--epochs", "4"]
        result = ran(*arguments, "--augment", "symmetries", "--views", "16")
        document = json.loads(result.stdout)
        assert document["settings"]["augmentation"] == "symmetries"
        below = min(document[subset]["auc"] for subset in ("validation", "test")) < 0.5
        assert ("below that of chance" in result.stderr.replace("\n", " ")) == below

    def test_none_has_one_view(self, pictures: Path, tmp_path: Path) -> None:
        arguments = [*TRAIN, "--dataset", f"folder:{pictures}", "--out", str(tmp_path / "n"), "--augment", "none"]
        assert "leave one of them out" in refused(SettingError, *arguments, "--views", "8")
        assert json.loads(ran(*arguments, "--epochs", "1").stdout)["settings"]["views"] == 1


class TestEvaluate:
    def arguments(self, trained: tuple[Path, Result], pictures: Path) -> list[str]:
        return ["evaluate", str(trained[0]), "--dataset", f"folder:{pictures}", "--patients-from-name", "^(p[0-9]+)_"]

    def test_everything(self, trained: tuple[Path, Result], pictures: Path, tmp_path: Path) -> None:
        table, curve = tmp_path / "scores.csv", tmp_path / "roc.png"
        arguments = [*self.arguments(trained, pictures), "--csv", str(table), "--roc", str(curve)]
        found = json.loads(ran(*arguments, "--json", "--specificity", "0.5,1").stdout)
        assert found["positive"] == "malignant"
        assert [point["wanted"] for point in found["sensitivity"]] == [0.5, 1]
        assert found["baseline"]["auc"] > 0.9
        assert found["calibration"]["of"] == "malignant"
        assert sum(each["pictures"] for each in found["calibration"]["bins"]) == found["images"]
        rows = list(csv.DictReader(io.StringIO(table.read_text())))
        assert len(rows) == found["images"]
        assert set(rows[0]) == {"picture", "patient", "subset", "label", "score malignant", "score rest"}
        assert {row["subset"] for row in rows} == {"test"}
        for row in rows:
            assert row["picture"].startswith(f"{row['label']}/{row['patient']}_")
            assert float(row["score malignant"]) + float(row["score rest"]) == pytest.approx(1, abs=1e-5)
        right = np.mean([(float(row["score malignant"]) > 0.5) == (row["label"] == "malignant") for row in rows])
        assert right == pytest.approx(found["accuracy"])
        assert table.stat().st_mode & 0o777 == 0o600
        with Image.open(curve) as drawn:
            assert drawn.size == (900, 900)

    def test_tables(self, trained: tuple[Path, Result], pictures: Path) -> None:
        text = ran(*self.arguments(trained, pictures)).stdout
        for words in (
            "test; positive class: malignant",
            "logistic regression",
            "Sensitivity for malignant",
            "expected calibration error",
            "Reliability of network network, probability of malignant",
            "95 % interval",
        ):
            assert words in text

    def test_other_subsets_than_those_of_the_training_are_told(
        self, trained: tuple[Path, Result], pictures: Path
    ) -> None:
        without = ran("evaluate", str(trained[0]), "--dataset", f"folder:{pictures}", "--no-baseline")
        assert "in other subsets" in without.stderr
        assert "in other subsets" not in ran(*self.arguments(trained, pictures), "--no-baseline").stderr
        assert "no figures per patient: patients are not known" in without.stdout
        assert "logistic regression" not in without.stdout

    def test_few_pictures_have_no_interval(self) -> None:
        found = json.loads(ran("evaluate", "tiny", "--dataset", "phantom:images=60,seed=4", "--json").stdout)
        assert found["auc_low"] is None
        assert "fewer than 10" in found["interval_refused"]
        shown = ran("evaluate", "tiny", "--dataset", "phantom:images=60,seed=4", "--no-baseline").stdout
        assert "no interval per picture: " in shown
        assert max(map(len, shown.splitlines()[:6])) < 80

    def test_pictures_without_files_have_their_places_in_the_whole_set(self, tmp_path: Path) -> None:
        table = tmp_path / "scores.csv"
        ran("evaluate", "tiny", "--dataset", "phantom:images=60,seed=4", "--csv", str(table), "--no-baseline")
        data = load_dataset("phantom:images=60,seed=4", 8)
        rows = list(csv.DictReader(io.StringIO(table.read_text())))
        assert [int(row["picture"]) for row in rows] == [p for p, own in enumerate(data.subsets) if own == "test"]

    @pytest.mark.parametrize("text", ["", "a", "0.5;0.6", "1.5", "-0.1", "nan"])
    def test_specificities_that_are_none(self, text: str) -> None:
        arguments = ["evaluate", "tiny", "--dataset", "phantom:images=60", "--specificity", text]
        assert "numbers from 0 to 1" in refused(SettingError, *arguments)

    def test_files_are_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "there.csv").touch()
        arguments = ["evaluate", "tiny", "--dataset", "phantom:images=60", "--csv"]
        assert "--force" in refused(SettingError, *arguments, str(tmp_path / "there.csv"))
        assert "is a folder" in refused(SettingError, *arguments, str(tmp_path))

    def test_a_set_without_training_pictures(self, trained: tuple[Path, Result], tmp_path: Path) -> None:
        root = write_set(tmp_path / "later", ("malignant", "rest"), 12)
        rows = [f"{file.parent.name}/{file.name},test" for file in root.rglob("*.png")]
        (root / "index.csv").write_text("\n".join(["file,subset", *rows]))
        arguments = ["evaluate", str(trained[0]), "--dataset", f"folder:{root}"]
        found = json.loads(ran(*arguments, "--json").stdout)
        assert found["baseline"] is None
        assert "subset 'train' of later is empty" in found["baseline_refused"]
        assert "no baseline" in ran(*arguments).stderr


def test_a_class_chosen_by_hand_survives_storage(tmp_path: Path) -> None:
    network = dataclasses.replace(load_network("tiny"), classes=("malignant", "rest"), positive="malignant")
    save_network(network, tmp_path, architecture="tiny")
    assert load_network(str(tmp_path)).positive_class == "malignant"
