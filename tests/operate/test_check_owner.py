"""`gatepost check` as root tells what the owner of data_dir could not read."""

from pathlib import Path

import pytest

from gatepost.operate import check_owner, init
from gatepost.operate.check_owner import owner_findings
from gatepost.operate.configuration import load


@pytest.mark.parametrize(
    ("closed", "mend"),
    [("key.pem", "a copy"), ("cert.pem", "a copy"), ("gatepost.toml", "chmod g+r")],
)
def test_a_file_that_is_closed_to_the_owner_is_told(tmp_path: Path, monkeypatch, closed, mend):
    made = init.init(tmp_path, "relay.example")
    settings = load(made.config, {})
    assert list(owner_findings(settings, made.config)) == []
    monkeypatch.setattr(check_owner, "may_read", lambda file: file.name != closed)
    (found,) = owner_findings(settings, made.config)
    assert found.subject == f"file {tmp_path / closed}"
    assert "may not read it" in found.what
    assert mend in found.mend
