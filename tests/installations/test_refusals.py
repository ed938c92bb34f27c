"""A command that needs more than is installed says so in one sentence, and still explains itself."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from itertools import chain
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cryptml import installations
from cryptml.cli import main, running, split_profiler
from cryptml.cli.verbs import Verb, create_app
from cryptml.errors import CircuitError, SettingError
from cryptml.fhe import concrete

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

ASKED = [
    "numpy<2,>=1.26",
    "fastapi<0.166,>=0.162; extra == 'server'",
    'Torch_X>=2; extra == "train"',
    'cryptml[server,train]; extra == "all"',
]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the packages that are installed, as the test wants them."""
    installed: set[str] = set()

    def distribution(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return name

    monkeypatch.setattr(installations, "requires", lambda _: ASKED)
    monkeypatch.setattr(installations, "distribution", distribution)
    return installed


def test_what_is_missing_is_known_by_part(only: set[str]) -> None:
    assert installations.missing_packages("server") == ["fastapi"]
    assert installations.missing_packages("train") == ["torch-x"]
    assert installations.missing_packages("all") == ["fastapi", "torch-x"]
    only.add("fastapi")
    assert installations.missing_packages("server") == []
    assert installations.missing_packages("all") == ["torch-x"]


def test_a_refusal_names_the_extra_the_packages_and_the_command(only: set[str]) -> None:
    with pytest.raises(SettingError) as refusal:
        installations.require_installation("server", "cryptml serve")
    assert str(refusal.value).startswith(
        "cryptml serve needs the installation cryptml[server], and this one leaves out fastapi; run make server in "
    )
    only.add("fastapi")
    installations.require_installation("server", "cryptml serve")


def test_code_that_was_never_installed_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(_: str) -> list[str]:
        raise PackageNotFoundError("cryptml")

    monkeypatch.setattr(installations, "requires", requires)
    assert installations.missing_packages("all") == []


def test_extras_are_plain_so_that_their_markers_can_be_read() -> None:
    extras = PROJECT["optional-dependencies"]
    assert [each for name in ("server", "train") for each in extras[name] if ";" in each or "[" in each] == []
    assert extras["all"] == ["cryptml[server,train]"]
    assert set(installations.PARTS) == set(installations.COMMANDS) == {"server", "train", "all", "onnx"}


@pytest.mark.parametrize("verb", [*main.VERBS, *split_profiler.VERBS], ids=lambda verb: verb.name)
def test_commands_and_groups_are_refused_before_they_begin(only: set[str], verb: Verb) -> None:
    if verb.extra is None:
        return
    found = verb.load("cryptml")
    callbacks = [each.callback for each in found.registered_commands] if isinstance(found, typer.Typer) else [found]
    assert callbacks
    for callback in filter(None, callbacks):
        with pytest.raises(SettingError, match=rf"cryptml {verb.name} needs the installation cryptml\[{verb.extra}\]"):
            callback()


def test_help_is_given_and_options_are_kept_where_the_command_is_refused(only: set[str]) -> None:
    helped = CliRunner().invoke(main.app, ["train", "--help"])
    assert helped.exit_code == 0
    assert "--dataset" in helped.stdout


CALLED: list[str] = []


def free() -> None:
    CALLED.append("free")


def bound() -> None:
    CALLED.append("bound")


def test_others_are_left_as_they_are(only: set[str]) -> None:
    here = f"{__name__}:"
    verbs = (Verb("free", f"{here}free", "Is free."), Verb("bound", f"{here}bound", "Is bound.", "server"))
    app = create_app("program", verbs, "A program.")
    app.callback()(lambda: None)
    CALLED.clear()
    assert CliRunner().invoke(app, ["free"]).exit_code == 0
    refused = CliRunner().invoke(app, ["bound"])
    assert isinstance(refused.exception, SettingError)
    only.add("fastapi")
    assert CliRunner().invoke(app, ["bound"]).exit_code == 0
    assert CALLED == ["free", "bound"]


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("fastapi.responses", "the package fastapi of the installation cryptml[server] is missing; run make server "),
        ("numpy", "the package numpy is missing; install CRYPTML with its dependencies again"),
    ],
)
def test_a_module_that_is_missed_later_is_named_with_its_extra(
    only: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, sentence: str
) -> None:
    app = typer.Typer()

    @app.command()
    def miss() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(sys, "argv", ["cryptml"])
    with pytest.raises(SystemExit) as left:
        running.run_app(app)
    assert left.value.code == 1
    assert sentence in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("package", sorted(set(chain.from_iterable(concrete.LATE.values()))))
def test_what_stands_for_a_package_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    late = concrete._Late(package)
    kept = late.function  # while Concrete's modules are imported
    with pytest.raises(
        CircuitError, match=rf"needs the package {package}, which this installation leaves out; run make "
    ):
        kept()
    late.needed = True
    with pytest.raises(CircuitError, match=f"needs the package {package}"):
        late.function  # noqa: B018


def test_what_stands_for_a_package_gives_it_where_it_is() -> None:
    late = concrete._Late("math")
    kept = late.sqrt
    assert kept(4.0) == 2.0
    late.needed = True
    assert late.pi > 3
