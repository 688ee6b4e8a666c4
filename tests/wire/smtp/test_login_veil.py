"""What a server says after AUTH is told without what was said there."""

import pytest

from gatepost.wire.sasl.exchange import ClientCredentials
from gatepost.wire.smtp.login_veil import HIDDEN, LoginVeil


@pytest.mark.parametrize(
    ("password", "said", "told"),
    [
        ("correct horse battery", "no: Correct Horse Battery!", f"no: {HIDDEN}!"),
        ("correct horse battery", "5.7.8 Authentication failed", "5.7.8 Authentication failed"),
        # A short one may be a word, or a letter: what is left of the text would tell it.
        ("password", "invalid username or password", HIDDEN),
        ("a", "5.7.8 Authentication failed", HIDDEN),
        ("zq", "5.7.8 Authentication failed", "5.7.8 Authentication failed"),
    ],
)
def test_no_secret_can_be_read_off(password: str, said: str, told: str) -> None:
    assert LoginVeil(ClientCredentials("joe", password)).over(said) == told


def test_a_line_that_was_said_is_hidden() -> None:
    veil = LoginVeil(ClientCredentials("joe", "correct horse battery"))
    veil.note(b"AGpvZQBjb3JyZWN0IGhvcnNlIGJhdHRlcnk=")
    assert veil.over("500 what is AUTH PLAIN AGpvZQBjb3JyZWN0IGhvcnNl?").count(HIDDEN) == 1
