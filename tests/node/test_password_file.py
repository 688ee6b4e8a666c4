"""What workers need to read is read once before a port serves."""

import signal
from pathlib import Path

from gatepost.model.settings import ListenerSettings, Role, RouteSettings, Settings, TlsSettings
from gatepost.node.prepare import _try_store
from tests.conftest import NodeMaker
from tests.node.conftest import LOCAL
from tests.support.node import wait_until


def test_a_password_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    missing = tmp_path / "nofile"
    settings = Settings(
        hostname="relay.test.example",
        data_dir=tmp_path / "state",
        tls=TlsSettings(certificate=tmp_path / "c", private_key=tmp_path / "k"),
        listeners=(ListenerSettings(address="127.0.0.1:2587", role=Role.SUBMISSION),),
        routes=(
            RouteSettings(
                match=("x.test",), via="smtp:127.0.0.1:9", username="u", password_file=missing
            ),
        ),
    )
    assert str(missing) in _try_store(settings, alone=True)[1]


def test_a_reload_that_names_a_missing_one_changes_nothing(make_node: NodeMaker) -> None:
    node = make_node(LOCAL)
    begin = len(node.log.read_text())
    missing = node.directory / "nofile"
    login = f'username = "u"\npassword_file = "{missing}"\n'
    node.configure(f'{LOCAL}[[routes]]\nmatch = ["x.test"]\nvia = "smtp:127.0.0.1:9"\n{login}')
    node.signal(signal.SIGHUP)
    wait_until(lambda: "the former one stays" in node.log.read_text()[begin:], "the refusal")
    said = node.log.read_text()[begin:]
    assert f"password_file {missing}: no such file or directory" in said
    assert "workers take it over" not in said
    checked = node.run("check", check=False)
    assert checked.returncode == 2
    assert str(missing) in checked.stdout + checked.stderr
