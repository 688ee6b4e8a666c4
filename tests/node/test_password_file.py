"""What workers need to read is read once before a port serves."""

from pathlib import Path

from gatepost.model.settings import ListenerSettings, RouteSettings, Settings, TlsSettings
from gatepost.node.run import _try_store


def test_a_password_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    missing = tmp_path / "nofile"
    settings = Settings(
        hostname="relay.test.example",
        data_dir=tmp_path / "state",
        tls=TlsSettings(certificate=tmp_path / "c", private_key=tmp_path / "k"),
        listeners=(ListenerSettings(address="127.0.0.1:2587", role="submission"),),
        routes=(
            RouteSettings(
                match=("x.test",), via="smtp:127.0.0.1:9", username="u", password_file=missing
            ),
        ),
    )
    assert str(missing) in _try_store(settings)
