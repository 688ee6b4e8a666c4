"""What `via` and `deliver_to` may say."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.route import (
    TlsMode,
    UpstreamLogin,
    Via,
    ViaCapture,
    ViaDiscard,
    ViaHold,
    ViaLmtp,
    ViaMaildir,
    ViaMx,
    ViaSmtp,
)
from gatepost.model.secret import Secret
from gatepost.model.via import parse_delivery_target, parse_pattern, parse_via
from gatepost.model.wrong import WrongValueError

_LOGIN = UpstreamLogin("me", Secret("secret"))


@pytest.mark.parametrize(
    ("text", "via"),
    [
        ("mx", ViaMx()),
        ("capture", ViaCapture()),
        ("discard", ViaDiscard()),
        ("hold", ViaHold()),
        ("smtp:127.0.0.1:2526", ViaSmtp("127.0.0.1", 2526)),
        ("smtp:[::1]:25", ViaSmtp("::1", 25)),
        (" smtp:Smart.Example:587 ", ViaSmtp("smart.example", 587)),
        ("lmtp:127.0.0.1:24", ViaLmtp("127.0.0.1", 24)),
    ],
)
def test_a_route_leads_one_way(text: str, via: Via) -> None:
    assert parse_via(text) == via


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no way out"),
        ("mx:relay.example", "no way out"),
        ("stmp:relay.example:25", 'did you mean "smtp:HOST:PORT"'),
        ("captured", 'did you mean "capture"'),
        ("smtp", 'did you mean "smtp:HOST:PORT"'),
        ("smtp:relay.example", "has no port"),
        ("smtp:::1:25", "brackets around an IPv6 address"),
        ("smtp:relay.example:0", "port 0"),
        ("maildir:mail", "cannot end in a maildir"),
        ("relay.example:25", "no way out"),
    ],
)
def test_another_way_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(WrongValueError, match=words):
        parse_via(text)


@pytest.mark.parametrize(
    ("tls", "login", "mode"),
    [
        (None, None, TlsMode.OPPORTUNISTIC),
        (TlsMode.NEVER, None, TlsMode.NEVER),
        (None, _LOGIN, TlsMode.REQUIRED),
        (TlsMode.REQUIRED, _LOGIN, TlsMode.REQUIRED),
        (TlsMode.IMPLICIT, _LOGIN, TlsMode.IMPLICIT),
    ],
)
def test_a_login_implies_tls(
    tls: TlsMode | None, login: UpstreamLogin | None, mode: TlsMode
) -> None:
    assert parse_via("smtp:smart.example:587", tls=tls, login=login) == ViaSmtp(
        "smart.example", 587, mode, login
    )


@pytest.mark.parametrize("tls", [TlsMode.NEVER, TlsMode.OPPORTUNISTIC])
def test_a_login_never_goes_in_clear(tls: TlsMode) -> None:
    with pytest.raises(WrongValueError, match="clear text"):
        parse_via("smtp:smart.example:587", tls=tls, login=_LOGIN)


@pytest.mark.parametrize("text", ["mx", "capture", "lmtp:127.0.0.1:24"])
def test_only_smtp_takes_a_login(text: str) -> None:
    with pytest.raises(WrongValueError, match="takes no login"):
        parse_via(text, login=_LOGIN)


def test_tls_goes_only_with_what_travels() -> None:
    assert parse_via("mx", tls=TlsMode.REQUIRED) == ViaMx(TlsMode.REQUIRED)
    for text, tls in (("mx", TlsMode.IMPLICIT), ("capture", TlsMode.REQUIRED)):
        with pytest.raises(WrongValueError, match="does not go with"):
            parse_via(text, tls=tls)


def test_a_local_domain_ends_in_a_maildir_or_at_a_server() -> None:
    assert parse_delivery_target("maildir:mail") == ViaMaildir("mail")
    assert parse_delivery_target("lmtp:[::1]:24") == ViaLmtp("::1", 24)
    assert parse_delivery_target("smtp:127.0.0.1:25") == ViaSmtp("127.0.0.1", 25)
    for text in ("mx", "capture", "discard", "hold", "maildir:", "mail"):
        with pytest.raises(WrongValueError):
            parse_delivery_target(text)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("*", "*"),
        ("Example", "example"),
        ("*.Bücher.Example", "*.xn--bcher-kva.example"),
        (" example. ", "example"),
    ],
)
def test_a_pattern_is_in_lower_case_a_labels(text: str, pattern: str) -> None:
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize("text", ["", "*example", "a.*.example", "user@example", "*.", "**"])
def test_another_pattern_is_refused(text: str) -> None:
    with pytest.raises(WrongValueError):
        parse_pattern(text)


@given(st.text())
def test_garbage_is_refused_in_words_and_never_raises_anything_else(text: str) -> None:
    for parse in (parse_via, parse_delivery_target, parse_pattern):
        with contextlib.suppress(WrongValueError):
            parse(text)
