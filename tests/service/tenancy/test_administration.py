"""What an operator does with a service's database, as a program calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptml_server.base.settings import Settings
from cryptml_server.database import DatabaseUnavailable
from cryptml_server.database.administration import answering, upgrade_database
from cryptml_server.operations.administration import administered
from cryptml_server.operations.doctor import examine
from cryptml_server.operations.doctor.computing import check_cores

from cryptml.errors import SettingError


def test_a_tenant_from_its_first_day_to_its_last(tmp_path: Path) -> None:
    said: list[str] = []
    with administered(tmp_path, new=True, notify=said.append) as administration:
        added = administration.add("clinic", {"keys": 3})
        assert added.token.startswith(f"{added.tenant.id}.")
        assert administration.change("clinic", {"jobs": 5}).quotas.jobs == 5
        found = administration.set_budgets("clinic", "tiny", {(2, 5): 7, (3, 5): None})
        assert [(each["start"], each["stop"], each["used"], each["budget"]) for each in found] == [
            (2, 5, 0, 7),
            (3, 5, 0, None),
        ]
        assert administration.rotate("clinic") != added.token
    assert said == [f"a new database is made at {tmp_path / 'cryptml.db'}"]
    with administered(tmp_path, notify=said.append) as administration:
        (usage,) = administration.tenants()
        document = usage.to_json()
        assert (document["name"], document["quotas"]["keys"], document["quotas"]["jobs"]) == ("clinic", 3, 5)
        assert document["used"] == {"today": 0, "queries": found, "keys": 0, "key_bytes": 0}
        assert administration.revoke("clinic").revoked is not None
    assert len(said) == 1


def test_what_an_operator_may_not_do(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingError, match="there is no database .*; give the service's `data`"),
        administered(tmp_path),
    ):
        pass
    with administered(tmp_path, new=True) as administration:
        administration.add("clinic", {})
        with pytest.raises(SettingError, match="nothing is to be changed"):
            administration.change("clinic", {})
        with pytest.raises(SettingError, match="there is a tenant 'clinic' already"):
            administration.add("clinic", {})
        with pytest.raises(SettingError, match="the quotas cannot be used"):
            administration.add("other", {"keys": 0})
        with pytest.raises(SettingError, match="there is no tenant 'nobody'"):
            administration.set_budgets("nobody", "tiny", {})
        with pytest.raises(TypeError):
            administration.add("third", {"kyes": 3})


def test_a_database_that_does_not_answer_is_said_in_one_way(tmp_path: Path) -> None:
    said = "the database does not answer, or cannot be written; check its address"
    with pytest.raises(SettingError, match=said), answering():
        raise DatabaseUnavailable("locked")
    with pytest.raises(SettingError, match=said), administered(tmp_path, new=True):
        raise DatabaseUnavailable("gone")
    with pytest.raises(SettingError, match=said):
        upgrade_database(Settings(data=tmp_path, database="postgresql+psycopg://nobody@127.0.0.1:9/none"))


def test_an_embedded_database_needs_no_upgrade_by_hand(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no database is given; set CRYPTML_DATABASE"):
        upgrade_database(Settings(data=tmp_path))


def test_an_examination_begins_with_the_settings(tmp_path: Path) -> None:
    settings, cores = examine({"data": tmp_path, "workers": 1, "threads": 1, "port": None}, (check_cores,))
    assert (settings.check, settings.state, cores.check) == ("settings", "ok", "cores")
    (wrong,) = examine({"data": tmp_path, "workers": 0}, (check_cores,))
    assert (wrong.check, wrong.state) == ("settings", "wrong")
    assert "workers" in wrong.what
    file = tmp_path / "settings.toml"
    file.write_text("threads = 0\n")
    (wrong,) = examine({}, (check_cores,), file=file)
    assert "threads" in wrong.what
