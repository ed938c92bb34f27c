"""The Makefile, its script and constraints.txt, without a real installation."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = ("Makefile", "make", "constraints.txt", "pyproject.toml")

pytestmark = [
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
    pytest.mark.skipif(not all((ROOT / name).exists() for name in FILES), reason="not a source checkout"),
]

# Answers the probe, "-m venv" (by a stub that is this same script) and "-m pip"; notes every other call.
FAKE_PYTHON = """#!/bin/sh
case "$1 $2" in
    "-c "*) [ -n "{version}" ] || exit 1; echo "{version} {has_venv} $0" ;;
    "-m venv")
        for folder in "$@"; do :; done
        mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" && echo venv >>calls ;;
    "-m pip") echo "$*" >>calls; {pip} ;;
    *) echo "$*" >>calls; echo "ran in $PWD" ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "a folder with spaces"
    copy.mkdir()
    for name in FILES:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    return copy


def fake(path: Path, version: str = "3.11.7", has_venv: str = "yes", pip: str = ":") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(FAKE_PYTHON.format(version=version, has_venv=has_venv, pip=pip))
    path.chmod(0o755)
    return path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Neither what a make above this one says nor what the Makefile lets a user set.
    settings = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEFILES", "MAKEOVERRIDES"}
    settings |= set(re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**inherited, "NEEDED_GB": "0", "LC_ALL": "C", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def sentence(result: subprocess.CompletedProcess[str]) -> str:
    """What was said on stderr, without make's own line on the failed recipe; it must be one line."""
    lines = [line for line in result.stderr.splitlines() if not re.match(r"make(\[\d+\])?: \*\*\*", line)]
    assert len(lines) == 1, result.stderr
    return lines[0]


def tools_without(tmp_path: Path, *left_out: str) -> str:
    """A PATH with the tools that the script calls, without Python and without those left out."""
    names = {
        "sh",
        "make",
        *[
            "cat",
            "cksum",
            "cp",
            "cut",
            "df",
            "dirname",
            "du",
            "head",
            "ls",
            "mkdir",
            "rm",
            "sed",
            "sleep",
            "tail",
            "touch",
        ],
    }
    place = tmp_path / "tools"
    place.mkdir()
    for name in names - set(left_out):
        found = shutil.which(name)
        if found:
            (place / name).symlink_to(found)
    return str(place)


@pytest.mark.parametrize("arguments", [(), ("help",)])
def test_help_names_every_target(folder: Path, arguments: tuple[str, ...]) -> None:
    result = make(folder, *arguments)
    assert result.returncode == 0, result.stderr
    for target in ("install", "client", "server", "demo", "check", "test", "lint", "docs", "clean"):
        assert f"make {target} " in result.stdout


@pytest.mark.parametrize("arguments", [("tests",), ("instal",), ("install", "make")])
def test_unknown_target_is_named_and_nothing_runs(folder: Path, arguments: tuple[str, ...]) -> None:
    result = make(folder, *arguments)
    assert result.returncode == 2
    assert f'There is no target "{arguments[-1]}"' in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("version", ["3.13.0", "3.10.13", "2.7.18"])
def test_unsupported_python_gives_one_sentence(folder: Path, tmp_path: Path, version: str) -> None:
    python = fake(tmp_path / "bin" / "python", version)
    result = make(folder, "install", f"PYTHON={python}")
    assert result.returncode != 0
    assert sentence(result) == (
        f"CRYPTML needs Python 3.11 or 3.12, found {version} at {python}; "
        "install one of these or run make PYTHON=/path/to/python3.11"
    )
    assert not (folder / ".venv").exists()


def test_python_that_fails_gives_one_sentence(folder: Path, tmp_path: Path) -> None:
    python = fake(tmp_path / "bin" / "python", version="")
    result = make(folder, "install", PYTHON=str(python))
    assert result.returncode != 0
    assert f"PYTHON={python} does not run Python code" in sentence(result)


def test_python_that_is_not_there_gives_one_sentence(folder: Path, tmp_path: Path) -> None:
    result = make(folder, "install", f"PYTHON={tmp_path / 'absent'}")
    assert result.returncode != 0
    assert "absent is not a command" in sentence(result)


def test_python_without_venv_gives_one_sentence(folder: Path, tmp_path: Path) -> None:
    python = fake(tmp_path / "bin" / "python", "3.12.3", has_venv="no")
    result = make(folder, "install", f"PYTHON={python}")
    assert result.returncode != 0
    assert "install the package python3.12-venv" in sentence(result)


def test_no_python_at_all_gives_one_sentence(folder: Path, tmp_path: Path) -> None:
    result = make(folder, "install", PATH=tools_without(tmp_path))
    assert result.returncode != 0
    assert "CRYPTML needs Python 3.11 or 3.12, found none;" in sentence(result)


def test_broken_and_unsupported_pythons_are_passed_over(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "bin"
    fake(place / "python3.11", version="")
    fake(place / "python3.12", "3.12.3", has_venv="no")
    fake(place / "python3", "3.13.0")
    good = fake(place / "python", "3.12.1")
    path = f"{place}:{tools_without(tmp_path)}"
    found = subprocess.run(
        ["sh", "make/environment.sh", "find"],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.stdout.strip() == str(good)


def test_real_python_is_accepted(folder: Path) -> None:
    found = subprocess.run(
        ["sh", "make/environment.sh", "find"],
        cwd=folder,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()).exists()


def test_too_little_disk_gives_one_sentence(folder: Path, tmp_path: Path) -> None:
    python = fake(tmp_path / "bin" / "python")
    result = make(folder, "install", f"PYTHON={python}", "NEEDED_GB=999999")
    assert result.returncode != 0
    assert "needs about 999999 GB of disk space" in sentence(result)
    assert re.search(r"but only \d+ GB are free", result.stderr)
    assert not (folder / ".venv").exists()


def test_second_installation_does_nothing(folder: Path, tmp_path: Path) -> None:
    python = fake(tmp_path / "bin dir" / "python")
    first = make(folder, "-j2", "install", f"PYTHON={python}")
    assert first.returncode == 0, first.stderr
    calls = (folder / "calls").read_text()
    assert calls.startswith("venv\n")
    assert "--no-deps --requirement constraints.txt" in calls
    assert "--no-deps --no-build-isolation --editable ." in calls

    second = make(folder, "-j2", "install", f"PYTHON={python}")
    assert second.returncode == 0
    assert second.stderr == ""
    assert (folder / "calls").read_text() == calls


@pytest.mark.parametrize("changed", ["constraints.txt", "pyproject.toml"])
def test_changed_requirements_install_again(folder: Path, tmp_path: Path, changed: str) -> None:
    python = fake(tmp_path / "bin" / "python")
    make(folder, "install", f"PYTHON={python}")
    calls = (folder / "calls").read_text()
    with (folder / changed).open("a") as file:
        file.write("\n")
    assert make(folder, "install", f"PYTHON={python}").returncode == 0
    again = (folder / "calls").read_text()[len(calls) :]
    assert "--requirement constraints.txt" in again
    assert "venv\n" not in again


def test_another_python_makes_the_environment_anew(folder: Path, tmp_path: Path) -> None:
    make(folder, "install", f"PYTHON={fake(tmp_path / 'a' / 'python', '3.11.7')}")
    make(folder, "install", f"PYTHON={fake(tmp_path / 'b' / 'python', '3.12.1')}")
    assert (folder / "calls").read_text().count("venv\n") == 2


def test_failed_installation_shows_the_end_of_the_log_and_is_repeated(folder: Path, tmp_path: Path) -> None:
    broken = fake(tmp_path / "bin" / "python", pip='[ "$3" = --version ] || { echo "no route to host"; exit 1; }')
    result = make(folder, "test", f"PYTHON={broken}")
    assert result.returncode != 0
    assert "no route to host" in result.stderr
    assert "The installation failed" in result.stderr
    assert "no route to host" in (folder / ".venv" / "install.log").read_text()
    assert "ran in" not in result.stdout
    assert "The installation failed" in make(folder, "test", f"PYTHON={broken}").stderr


@pytest.mark.parametrize("lacking", ['case "$*" in *" uv") exit 1 ;; esac', "rm -f make/uv_install.py"])
def test_what_uv_cannot_do_pip_does(folder: Path, tmp_path: Path, lacking: str) -> None:
    python = fake(tmp_path / "bin" / "python", pip=lacking)
    python.write_text(
        python.read_text().replace("*) echo", "make/uv_install.py*) [ -f make/uv_install.py ] ;;\n    *) echo")
    )
    result = make(folder, "install", f"PYTHON={python}")
    assert result.returncode == 0, result.stderr
    calls = (folder / "calls").read_text().splitlines()
    assert [call for call in calls if "--requirement" in call] == [
        "-m pip install --no-input --disable-pip-version-check --progress-bar off --no-compile --no-deps --requirement constraints.txt"
    ]
    assert "pip does" in (folder / ".venv" / "install.log").read_text()


def test_uv_takes_packages_from_where_pip_would() -> None:
    helper = runpy.run_path(str(ROOT / "make" / "uv_install.py"))
    listing = """:env:.find-links='/wheels\\n/more'
:env:.disable-pip-version-check='1'
global.index-url='https://user:pass=word@mirror/simple'
global.extra-index-url='https://a/simple\\nhttps://b/simple'
global.find-links='/overridden'
global.timeout='9'
install.timeout='10'
install.no-index='true'
download.index-url='https://elsewhere/simple'
"""
    settings = helper["pip_settings"](listing)
    assert settings["no-index"] == "true"
    assert helper["environment"](settings) == {
        "UV_DEFAULT_INDEX": "https://user:pass=word@mirror/simple",
        "UV_INDEX": "https://a/simple https://b/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_HTTP_TIMEOUT": "10",
    }


def test_tests_run_in_the_environment(folder: Path, tmp_path: Path) -> None:
    python = fake(tmp_path / "bin" / "python")
    result = make(folder, "test", f"PYTHON={python}", "ARGS=-k one")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"ran in {folder}\n"
    ran = (folder / "calls").read_text().splitlines()[-1]
    assert ran.endswith("-k one")
    assert "-m pytest --numprocesses=2 " in ran
    make(folder, "test", f"PYTHON={python}", "PARALLEL=1")
    assert "-m pytest --numprocesses=1 " in (folder / "calls").read_text().splitlines()[-1]


def test_coverage_runs_the_tests_and_judges_each_package(folder: Path, tmp_path: Path) -> None:
    python = fake(tmp_path / "bin" / "python")
    assert make(folder, "coverage", f"PYTHON={python}", "ARGS=-k one").returncode == 0
    calls = (folder / "calls").read_text()
    assert re.search(r"-m pytest .*-k one --cov ", calls)
    assert [f"--include={name}/*" in calls for name in ("cryptml", "server", "client")] == [True] * 3


@pytest.mark.parametrize("part", ["client", "server"])
def test_a_part_is_installed_in_an_environment_of_its_own(folder: Path, tmp_path: Path, part: str) -> None:
    python = fake(tmp_path / "bin" / "python")
    place = tmp_path / "its place"
    assert make(folder, part, f"PYTHON={python}").returncode == 0
    first = (folder / "calls").read_text()
    assert f"--no-deps --requirement make/{part}.txt" in first
    assert "--requirement constraints.txt" not in first
    assert "--no-deps --build-constraint constraints.txt ." in first
    assert "-m pip uninstall --yes uv setuptools" in first
    assert (folder / f".venv-{part}" / "bin" / "python").exists()
    assert not (folder / ".venv").exists()

    assert make(folder, part, f"PYTHON={python}").stderr == ""
    assert (folder / "calls").read_text() == first
    assert make(folder, part, f"PYTHON={python}", f"VENV={place}").returncode == 0
    assert (place / "bin" / "python").exists()
    assert make(folder, "clean").returncode == 0
    assert not (folder / f".venv-{part}").exists()


def test_changed_code_is_installed_again_in_a_part(folder: Path, tmp_path: Path) -> None:
    python = fake(tmp_path / "bin" / "python")
    code = folder / "cryptml" / "module.py"
    code.parent.mkdir()
    code.write_text("one = 1\n")
    make(folder, "client", f"PYTHON={python}")
    calls = (folder / "calls").read_text()
    code.write_text("one = 2\n")
    assert make(folder, "client", f"PYTHON={python}").returncode == 0
    assert "--requirement make/client.txt" in (folder / "calls").read_text()[len(calls) :]


def test_a_folder_with_other_things_is_not_made_an_environment(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "pictures"
    other.mkdir()
    (other / "one.png").touch()
    result = make(folder, "client", f"PYTHON={fake(tmp_path / 'bin' / 'python')}", f"VENV={other}")
    assert result.returncode != 0
    assert f"{other} holds other things than a virtual environment" in sentence(result)
    assert [each.name for each in other.iterdir()] == ["one.png"]


def test_clean_removes_what_was_made(folder: Path, tmp_path: Path) -> None:
    make(folder, "install", f"PYTHON={fake(tmp_path / 'bin' / 'python')}")
    (folder / ".mypy_cache").mkdir()
    assert make(folder, "clean").returncode == 0
    assert not (folder / ".venv").exists()
    assert not (folder / ".mypy_cache").exists()
    assert (folder / "constraints.txt").exists()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints() -> list[tuple[str, str, str]]:
    """Name, version and marker of every line; fails on a line of another form."""
    lines = []
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        match = re.fullmatch(r"([a-z0-9][a-z0-9.-]*)==([0-9][0-9a-z.+!]*)(?: ; (.+))?", line)
        assert match, f"not a pinned version: {line!r}"
        lines.append((normal(match[1]), match[2], match[3] or ""))
    return lines


def test_constraints_hold_pinned_versions_alone() -> None:
    packaging = pytest.importorskip("packaging.markers")
    for name, _, marker in constraints():
        if marker:
            packaging.Marker(marker)
        assert "://" not in f"{name}{marker}"


@pytest.mark.parametrize("version", ["3.11.7", "3.12.1"])
def test_constraints_satisfy_every_requirement_once(version: str) -> None:
    markers = pytest.importorskip("packaging.markers")
    requirements = pytest.importorskip("packaging.requirements")
    here = {
        "python_version": version.rpartition(".")[0],
        "python_full_version": version,
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    pins: dict[str, str] = {}
    for name, pin, marker in constraints():
        if not marker or markers.Marker(marker).evaluate(here):
            assert name not in pins, f"{name} is pinned twice on Python {version}"
            pins[name] = pin

    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [document["build-system"]["requires"], document["project"]["dependencies"]]
    lists += document["project"]["optional-dependencies"].values()
    asked = [requirements.Requirement(item) for part in lists for item in part if not item.startswith("cryptml[")]
    assert len(asked) > 20
    asked += [requirements.Requirement(item) for item in ("pip", "setuptools<81", "editables", "uv")]
    for requirement in asked:
        if requirement.marker is None or requirement.marker.evaluate(here):
            name = normal(requirement.name)
            assert name in pins, f"{requirement.name} is not in constraints.txt"
            assert requirement.specifier.contains(pins[name]), f"{requirement} but constraints.txt has {pins[name]}"
