"""What the documents of operation name is there: settings, metrics, files, commands."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptml_server import create_app
from cryptml_server.base.metrics import Metrics
from cryptml_server.base.settings import Settings
from prometheus_client import generate_latest
from typer.main import get_command

from cryptml.cli.main import app

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
DEPLOY = DOCS / "deploy"
PAGE = (DOCS / "operations.md").read_text()
FILES = sorted(DEPLOY.iterdir())


def metrics_of_the_code(folder: Path) -> dict[str, str]:
    """Every metric with its kind, as a scrape names it."""
    with_gauges = create_app(Settings(data=folder)).state.metrics
    return dict(
        re.findall(r"^# TYPE (cryptml_\w+) (\w+)$", generate_latest(with_gauges.registry).decode(), re.MULTILINE)
    )


def test_settings_that_are_named_exist() -> None:
    known = {f"CRYPTML_{name.upper()}" for name in Settings.model_fields} | {"CRYPTML_SETTINGS"}
    for text in (PAGE, *(file.read_text() for file in FILES if file.is_file())):
        assert set(re.findall(r"CRYPTML_[A-Z_]+", text)) <= known
    written = tomllib.loads(
        (DEPLOY / "settings.toml").read_text().replace("# database", "database").replace("# tls", "tls")
    )
    assert set(written) <= set(Settings.model_fields)
    Settings(**written)
    for name in (
        "evaluation_seconds",
        "keep_alive_seconds",
        "head_seconds",
        "connections",
        "drain_seconds",
        "metrics_host",
    ):
        assert f"`{name}`" in PAGE
        assert name in Settings.model_fields


def test_the_table_of_metrics_is_the_codes(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(cryptml_\w+)` \| (\w+) \|\s*([\w, ]*?)\s*\|", PAGE, re.MULTILINE)
    found = {name: kind for name, kind in metrics_of_the_code(tmp_path).items() if not name.endswith("_created")}
    assert {name: kind for name, kind, _ in rows} == found
    labels = {
        f"cryptml_{each._name}".replace("cryptml_cryptml_", "cryptml_"): each._labelnames
        for each in vars(Metrics()).values()
        if hasattr(each, "_labelnames")
    }
    for name, _, given in rows:
        key = name.removesuffix("_total")
        if key in labels:
            assert tuple(filter(None, given.split(", "))) == labels[key], name


def test_alerts_name_metrics_that_exist(tmp_path: Path) -> None:
    found = metrics_of_the_code(tmp_path)
    rules = [rule for group in loaded("alerts.yaml")["groups"] for rule in group["rules"]]
    assert len(rules) >= 4
    for rule in rules:
        assert set(re.findall(r"cryptml_\w+", rule["expr"])) <= set(found)
    assert (
        str(tomllib.loads((DEPLOY / "settings.toml").read_text())["metrics_port"])
        in (DEPLOY / "prometheus.yaml").read_text()
    )


def test_compose_hides_secrets_and_waits_for_what_it_needs() -> None:
    document = loaded("compose.yaml")
    services = document["services"]
    assert set(services) == {"database", "upgrade", "service"}
    for secret in document["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    text = (DEPLOY / "compose.yaml").read_text()
    assert not re.search(r"POSTGRES_PASSWORD:|CRYPTML_DATABASE|://[^/]*:[^/]*@", text)
    assert "/v1/health/ready" in str(services["service"]["healthcheck"]["test"])
    assert services["service"]["depends_on"]["upgrade"]["condition"] == "service_completed_successfully"
    assert seconds(services["service"]["stop_grace_period"]) > Settings().drain_seconds
    for name in ("upgrade", "service"):
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
        command(services[name]["command"])
    assert (DEPLOY / services["service"]["build"]["context"] / services["service"]["build"]["dockerfile"]).exists()


def test_the_unit_waits_for_longer_than_the_service_drains(tmp_path: Path) -> None:
    unit = (DEPLOY / "cryptml.service").read_text()
    entries = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    assert seconds(entries["TimeoutStopSec"]) > Settings().drain_seconds
    assert entries["KillMode"] == "mixed"
    command(entries["ExecStart"].split()[1:])
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    copy = tmp_path / "cryptml.service"
    copy.write_text(unit.replace("/opt/cryptml/bin/cryptml", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert "cryptml.service" not in checked.stderr, checked.stderr


def test_the_image_has_no_privileges() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert re.search(r"^USER 10001", text, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in text
    command(["serve"])


def test_the_image_is_built_from_what_it_needs_alone() -> None:
    """Secrets, bundles and a repository's history that lie in the folder come into no layer."""
    text = (DEPLOY / "Containerfile").read_text()
    copied = {
        source
        for line in re.findall(r"^(?:COPY|ADD) +(?!--from)(.+)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.split("/")[0] for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    named = {project["project"]["readme"], *project["project"]["license-files"]}
    assert copied == {"pyproject.toml", "constraints.txt", "make/server.txt", *named, *packages}
    assert all((ROOT / source).exists() for source in copied)
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    kept_out = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/docs/deploy/secrets/", "/docs/deploy/bundles/"} <= set(kept_out)


def test_what_the_service_is_to_read_and_write_is_there_before_it_is_examined() -> None:
    systemd, containers = (section.partition("```sh")[2].partition("```")[0] for section in PAGE.split("\n## ")[1:3])
    unit = (DEPLOY / "cryptml.service").read_text()
    made = systemd.index("install -d -m 0700 -o cryptml -g cryptml /var/lib/cryptml")
    assert "CRYPTML_DATA=/var/lib/cryptml" in unit
    assert systemd.index("useradd") < made < systemd.index("cryptml doctor")
    # Of another user there, who has no privileges: modes say whether it may read.
    started = containers.index("docker compose up")
    for needed in ("mkdir -m 0700 secrets", "mkdir -m 0755 bundles", "chmod 0444 secrets/*", "chmod -R go+rX bundles"):
        assert containers.index(needed) < started
    assert containers.index("cp settings.toml") < containers.index("chmod 0444")
    assert containers.index("cp -r") < containers.index("chmod -R")


def test_links_and_commands_of_the_page_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / target).exists(), target
    for words in re.findall(r"cryptml ((?:doctor|serve|tenants\s[a-z]+|database\s[a-z]+))", PAGE):
        command(words.split()[: 2 if words.startswith(("tenants", "database")) else 1])


def command(words: list[str]) -> None:
    """Find a command by its words; what follows it is options."""
    found: Any = get_command(app)
    for word in words:
        if not hasattr(found, "commands"):
            break
        found = found.commands[word]
    assert not hasattr(found, "commands"), words


def loaded(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def seconds(text: str) -> float:
    return float(text.split("#")[0].strip().removesuffix("s"))
