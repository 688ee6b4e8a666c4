"""What is read of gatepost.toml to find the store, beside what all settings say."""

from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.settings import Settings
from gatepost.model.settings_file import read_settings
from gatepost.model.store_place import KEYS, Kept, SqlitePlace, read_place

HERE = Path("/etc/gatepost")
WHOLE = """
hostname = "relay.example"
{top}
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[[listeners]]
address = "127.0.0.1:2587"
role = "submission"
{tables}
"""


def test_every_key_at_the_top_is_known() -> None:
    assert set(Settings.model_fields) == KEYS


@pytest.mark.parametrize(
    ("top", "tables", "environment"),
    [
        ("", "", {}),
        ('data_dir = "/var/lib/gatepost"', "", {}),
        ('data_dir = "elsewhere"\nstore = "sqlite"', "[limits]\nrecipients = 500", {}),
        ("", '[retention]\ncontent = "1 h"\nevents = "3 d"\nidempotency_keys = "2 d"', {}),
        ("", '[retention]\ncaptured = "1 d"', {"GATEPOST_RETENTION__CAPTURED": "2 d"}),
        ("", "", {"GATEPOST_DATA_DIR": "of-the-environment", "GATEPOST_CONFIG": "x"}),
        ('store = "postgresql://u@h/d"', "", {"GATEPOST_STORE": "sqlite", "GATEPOST_PORT": "tcp"}),
    ],
)
def test_the_place_is_what_all_settings_say(
    top: str, tables: str, environment: dict[str, str]
) -> None:
    text = WHOLE.format(top=top, tables=tables)
    settings = read_settings(text, "gatepost.toml", HERE, environment)
    place = read_place(text, HERE, environment)
    assert place == SqlitePlace(
        settings.data_dir,
        Kept(settings.retention.content, settings.retention.captured, settings.retention.events),
        settings.store,
        settings.store_password_file,
    )


@pytest.mark.parametrize(
    ("top", "tables", "environment"),
    [
        ('store = "postgresql://u@h/d"', "", {}),
        ("", "", {"GATEPOST_STORE": "postgresql://u@h/d"}),
        # a slip in a key must not lead to another store
        ('stor = "postgresql://u@h/d"', "", {}),
        ("", "", {"GATEPOST_STOR": "postgresql://u@h/d"}),
        ("", "", {"GATEPOST_DATA_DIR__0": "x"}),
        ("data_dir = 3", "", {}),
        ("data_dir = ", "", {}),
        ("retention = 3", "", {}),
        ("", '[retention]\nevents = "3 parsecs"', {}),
        ("", '[retention]\nevent = "3 d"', {}),
    ],
)
def test_where_it_is_not_plain_nothing_is_said(
    top: str, tables: str, environment: dict[str, str]
) -> None:
    assert read_place(WHOLE.format(top=top, tables=tables), HERE, environment) is None


def test_a_fault_elsewhere_keeps_nobody_from_the_store() -> None:
    text = WHOLE.format(top="workers = -1", tables="[limits]\nrecipients = 'many'")
    assert read_place(text, HERE, {}) == SqlitePlace(
        HERE / "state", Kept(timedelta(0), timedelta(days=7), timedelta(days=30))
    )
