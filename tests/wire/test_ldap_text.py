"""Names in LDAP filters and distinguished names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.ldap_text import escaped, filled


@pytest.mark.rfc("4515#3")
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("alice@corp.test", "alice@corp.test"),
        ("a*b", r"a\2ab"),
        ("(x)", r"\28x\29"),
        ("back\\slash", r"back\5cslash"),
        ("nul\0", r"nul\00"),
        ("é", r"\c3\a9"),
        (" a, #b+c=d;", r"\20a\2c\20\23b\2bc\3dd\3b"),
    ],
)
def test_escaped(text: str, written: str) -> None:
    assert escaped(text) == written


@given(st.text())
def test_nothing_but_letters_and_escapes_comes_out_and_it_means_the_same(text: str) -> None:
    written = escaped(text)
    assert re.fullmatch(r"(?:[A-Za-z0-9@._-]|\\[0-9a-f]{2})*", written)
    octets = re.sub(
        rb"\\([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), written.encode()
    )
    assert octets.decode("utf-8", "surrogatepass") == text


def test_what_a_value_brings_in_is_not_filled_again() -> None:
    values = {"name": "{domain}", "local": "x", "domain": "secret"}
    assert filled("(mail={name})(uid={local})", values) == r"(mail=\7bdomain\7d)(uid=x)"
