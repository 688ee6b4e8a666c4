"""`init`: a set-up that serves as it is, and a template that shows what there is and no more."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gatepost.model.settings import Settings
from gatepost.model.settings_file import read_settings
from gatepost.net.certificate import read_certificates
from gatepost.operate import init
from gatepost.operate.configuration import load
from gatepost.operate.template import TEMPLATE


def test_what_init_writes_can_be_read_and_has_only_defaults(tmp_path: Path) -> None:
    made = init.init(tmp_path / "new", "relay.example")
    settings = load(made.config, {})
    assert settings.hostname == "relay.example"
    assert settings.data_dir == made.data_dir
    assert [(x.address, x.role.value) for x in settings.listeners] == list(init.LOOPBACK)
    written = {"hostname", "data_dir", "tls", "listeners"}
    defaults = {key: field.default for key, field in Settings.model_fields.items()}
    for key in Settings.model_fields.keys() - written:
        if key != "master_key":
            assert getattr(settings, key) == defaults[key]
    assert settings.master_key == made.data_dir / defaults["master_key"]


def test_the_certificate_fits_the_names_that_a_newcomer_uses(tmp_path: Path) -> None:
    made = init.init(tmp_path, "relay.example")
    (certificate,) = read_certificates(load(made.config, {}).tls)
    assert {"relay.example", "localhost"} <= set(certificate.names)


def test_keys_and_state_are_for_their_owner_only(tmp_path: Path) -> None:
    made = init.init(tmp_path, "relay.example")
    assert made.data_dir.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_configuration_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "gatepost.toml").write_text("mine")
    with pytest.raises(init.InitError, match="there already"):
        init.init(tmp_path, "relay.example")
    assert (tmp_path / "gatepost.toml").read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["gatepost.toml"]


def test_a_certificate_and_state_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("c")
    (tmp_path / "key.pem").write_text("k")
    (tmp_path / "state").mkdir()
    made = init.init(tmp_path, "relay.example")
    assert {path.name for path in made.kept} == {"cert.pem", "key.pem", "state"}
    assert (tmp_path / "cert.pem").read_text() == "c"


def test_a_certificate_without_its_key_is_not_guessed_about(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("c")
    with pytest.raises(init.InitError, match=r"key\.pem is not"):
        init.init(tmp_path, "relay.example")
    assert [entry.name for entry in tmp_path.iterdir()] == ["cert.pem"]


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(init.InitError, match="name a directory"):
        init.init(tmp_path / "file" / "below", "relay.example")


def test_everywhere_means_the_registered_ports_on_all_addresses(tmp_path: Path) -> None:
    made = init.init(tmp_path, "relay.example", listeners=init.EVERYWHERE)
    addresses = {x.address for x in load(made.config, {}).listeners}
    assert {"0.0.0.0:587", "[::]:587", "0.0.0.0:465", "0.0.0.0:25", "[::]:25"} < addresses


def test_capture_keeps_all_mail(tmp_path: Path) -> None:
    made = init.init(tmp_path, "relay.example", capture=True)
    (route,) = load(made.config, {}).routes
    assert (route.match, route.via) == (("*",), "capture")


def switched_on() -> dict[str, Any]:
    """The template with every option that is commented out switched on."""
    text = re.sub(r"^#(?=\S)", "", TEMPLATE, flags=re.MULTILINE)
    listener = init._text("x", [("127.0.0.1:0", "submission")])
    listener = re.sub(
        r"^#(?=\S)",
        "",
        listener[listener.index("[[") : listener.index("#[auth]")],
        flags=re.MULTILINE,
    )
    text = text.replace("{hostname}", "relay.example").replace("{listeners}", listener)
    read_settings(_without_alternatives(text), "template", Path("/"), {})
    return tomllib.loads(text)


def _without_alternatives(text: str) -> str:
    """Leave out what the template offers instead of another option."""
    text = re.sub(r"^token_command = .*\n", "", text, flags=re.MULTILINE)
    oauth = r"^\[routes\.oauth\].*\n(?:[a-z_]+ = .*\n)+"
    return re.sub(oauth, "", text, flags=re.MULTILINE)


def test_every_option_of_the_template_can_be_switched_on_and_none_is_missing() -> None:
    assert _keys(switched_on()) == _fields(Settings)


def test_a_commented_value_is_the_default_where_there_is_one() -> None:
    defaults = read_settings(
        'hostname = "relay.example"\n[tls]\ncertificate = "a"\nprivate_key = "b"\n'
        '[[listeners]]\naddress = "127.0.0.1:0"\nrole = "mx"\n',
        "x", Path("/"), {},
    )  # fmt: skip
    text = re.sub(r"^#(?=\S)", "", TEMPLATE, flags=re.MULTILINE)
    listener = '[[listeners]]\naddress = "127.0.0.1:0"\nrole = "mx"\n'
    text = text.replace("{hostname}", "relay.example").replace("{listeners}", listener)
    shown = read_settings(_without_alternatives(text), "template", Path("/"), {})
    for key in ("store", "workers", "limits", "retry", "retention", "log"):
        assert getattr(shown, key) == getattr(defaults, key), key
    assert shown.auth.model_copy(update={"oauth": None, "directories": ()}) == defaults.auth


def _keys(value: Any, at: str = "") -> set[str]:
    if isinstance(value, list):
        return set().union(*(_keys(v, at) for v in value)) if value else set()
    if not isinstance(value, dict):
        return {at}
    return set().union(*(_keys(v, f"{at}.{k}") for k, v in value.items()))


def _fields(model: type[BaseModel], at: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = _model(field.annotation)
        found |= _fields(inner, f"{at}.{name}") if inner else {f"{at}.{name}"}
    return found


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in getattr(annotation, "__args__", ()) if (m := _model(a))), None)
