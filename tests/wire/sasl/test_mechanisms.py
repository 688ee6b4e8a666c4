"""All mechanisms, message by message: the RFCs' examples, every other form, garbage."""

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.sasl.exchange import (
    ChannelFacts,
    CheckDigest,
    CheckPassword,
    CheckToken,
    ClientCredentials,
    Denied,
    Fault,
    Granted,
    Verdict,
)
from gatepost.wire.sasl.mechanisms import CLIENTS, MECHANISMS
from tests.wire.sasl.store import REFUSED_TOKEN, GaveUpError, People, converse, play

FACTS = ChannelFacts(
    tls_version="TLSv1.3", nonce="servernonce", hostname="relay.test", at=896697170
)
CLIENT_FACTS = ChannelFacts(tls_version="TLSv1.3", nonce="clientnonce", hostname="relay.test")


def verdict_of(name: str, *responses: bytes) -> Verdict:
    return play(MECHANISMS[name].start(FACTS), *responses)[1]


def plain(message: bytes) -> Verdict:
    challenges, verdict = play(MECHANISMS["PLAIN"].start(FACTS), message)
    assert challenges == [b""]
    return verdict


def login(name: bytes, password: bytes) -> Verdict:
    challenges, verdict = play(MECHANISMS["LOGIN"].start(FACTS), name, password)
    assert challenges == [b"Username:", b"Password:"]
    return verdict


def without_words(verdict: Verdict) -> Verdict:
    return Denied(verdict.fault, verdict.authcid) if isinstance(verdict, Denied) else verdict


def test_mechanisms_are_found_by_their_files() -> None:
    names = {
        "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
        "XOAUTH2", "OAUTHBEARER", "EXTERNAL",
    }  # fmt: skip
    assert set(MECHANISMS) == set(CLIENTS) == names
    for name, mechanism in MECHANISMS.items():
        assert mechanism.name == name == CLIENTS[name].name
        assert mechanism.client_first == (name != "CRAM-MD5")
        assert mechanism.binds_channel == CLIENTS[name].binds_channel == name.endswith("-PLUS")


def test_the_strongest_comes_first() -> None:
    passwords = [n for n in CLIENTS if "OAUTH" not in n and n != "EXTERNAL"]
    assert passwords == [
        "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN",
    ]  # fmt: skip
    assert list(CLIENTS).index("OAUTHBEARER") < list(CLIENTS).index("XOAUTH2")


# -- PLAIN and LOGIN


@pytest.mark.rfc("4616#4")
def test_examples_of_the_rfc() -> None:
    assert plain(b"\0tim\0tanstaaftanstaaf") == Granted("tim")
    assert plain(b"Ursel\0Kurt\0xipj3plmq") == Denied(Fault.AUTHZID, "kurt")
    (said,) = CLIENTS["PLAIN"].respond(ClientCredentials("tim", "tanstaaftanstaaf"), FACTS)
    assert said == b"\0tim\0tanstaaftanstaaf"


@pytest.mark.rfc("4616#2")
@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (b"tim\0tim\0tanstaaftanstaaf", Granted("tim")),
        (b"TIM\0tim\0tanstaaftanstaaf", Granted("tim")),
        (b"\0TIM\0tanstaaftanstaaf", Granted("tim")),
        (b"\0ti\xc2\xadm\0tanstaaftanstaaf", Granted("tim")),
        ("\0Jürgen\0pässwörd".encode(), Granted("jürgen")),
        ("\0Ju\u0308rgen\0pa\u0308sswo\u0308rd".encode(), Granted("jürgen")),
        (b"\0tim\0wrong", Denied(Fault.CREDENTIALS, "tim")),
        (b"\0nobody\0tanstaaftanstaaf", Denied(Fault.CREDENTIALS, "nobody")),
        (b"kurt\0tim\0wrong", Denied(Fault.CREDENTIALS, "tim")),
        (b"", Denied(Fault.MALFORMED)),
        (b"tim", Denied(Fault.MALFORMED)),
        (b"tim\0tanstaaftanstaaf", Denied(Fault.MALFORMED)),
        (b"\0tim\0tanstaaftanstaaf\0", Denied(Fault.MALFORMED)),
        (b"\0\0tanstaaftanstaaf", Denied(Fault.MALFORMED)),
        (b"\0tim\0", Denied(Fault.MALFORMED, "tim")),
        (b"\0tim\0\xc2\xad", Denied(Fault.MALFORMED, "tim")),
        (b"\0t\xffm\0x", Denied(Fault.MALFORMED)),
        (b"\0tim\0a\nb", Denied(Fault.MALFORMED)),
    ],
)
def test_plain(message: bytes, verdict: Verdict) -> None:
    assert plain(message) == verdict


@pytest.mark.parametrize(
    ("name", "password", "verdict"),
    [
        (b"tim", b"tanstaaftanstaaf", Granted("tim")),
        (b"Tim", b"tanstaaftanstaaf", Granted("tim")),
        (b"tim", b"wrong", Denied(Fault.CREDENTIALS, "tim")),
        (b"", b"x", Denied(Fault.MALFORMED)),
        (b"tim", b"", Denied(Fault.MALFORMED, "tim")),
        (b"t\0m", b"x", Denied(Fault.MALFORMED)),
        (b"tim", b"\xff", Denied(Fault.MALFORMED)),
    ],
)
def test_login(name: bytes, password: bytes, verdict: Verdict) -> None:
    assert login(name, password) == verdict


# -- CRAM-MD5

POSTOFFICE = b"<1896.697170952@postoffice.reston.mci.net>"


@pytest.mark.rfc("2195#2")
def test_cram_md5_example_of_the_rfc() -> None:
    facts = ChannelFacts(nonce="1896", at=697170952, hostname="postoffice.reston.mci.net")
    answer = b"tim b913a602c7eda7a495b4e6e7334d3890"
    challenges, verdict = play(MECHANISMS["CRAM-MD5"].start(facts), answer)
    assert challenges == [POSTOFFICE]
    assert verdict == Granted("tim")
    client = CLIENTS["CRAM-MD5"].respond(ClientCredentials("tim", "tanstaaftanstaaf"), FACTS)
    assert next(client) is None
    assert client.send(POSTOFFICE) == answer


@pytest.mark.rfc("2195#2")
@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (b"tim 00000000000000000000000000000000", Denied(Fault.CREDENTIALS, "tim")),
        (b"nobody 00000000000000000000000000000000", Denied(Fault.CREDENTIALS, "nobody")),
        (b"two words 00000000000000000000000000000000", Denied(Fault.CREDENTIALS, "two words")),
        (b"tim B913A602C7EDA7A495B4E6E7334D3890", Denied(Fault.MALFORMED, "tim")),
        (b"tim b913a602c7eda7a495b4e6e7334d389", Denied(Fault.MALFORMED, "tim")),
        (b"tim b913a602c7eda7a495b4e6e7334d3890 ", Denied(Fault.MALFORMED, "tim b913a602c7eda7a495b4e6e7334d3890")),
        (b"tim", Denied(Fault.MALFORMED)),
        (b"", Denied(Fault.MALFORMED)),
        (b" 00000000000000000000000000000000", Denied(Fault.MALFORMED)),
        (b"t\xffm 00000000000000000000000000000000", Denied(Fault.MALFORMED)),
    ],
)  # fmt: skip
def test_cram_md5(response: bytes, verdict: Verdict) -> None:
    assert without_words(verdict_of("CRAM-MD5", response)) == verdict


def test_cram_md5_never_challenges_twice_with_the_same() -> None:
    facts = [ChannelFacts(nonce=str(n), at=1, hostname="h") for n in range(2)]
    first, second = (play(MECHANISMS["CRAM-MD5"].start(f), b"")[0] for f in facts)
    assert first != second


# -- OAUTHBEARER and XOAUTH2

RFC_7628_IMAP = b64decode(
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI"
    "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
RFC_7628_SMTP = b64decode(
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVhcmVyIHZG"
    "OWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
RFC_7628_FAILED = b64decode(
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9AQE="
)


@pytest.mark.rfc("7628#4.1")
@pytest.mark.parametrize("message", [RFC_7628_IMAP, RFC_7628_SMTP])
def test_oauthbearer_example_of_the_rfc(message: bytes) -> None:
    assert verdict_of("OAUTHBEARER", message) == Granted("user@example.com")


@pytest.mark.rfc("7628#4.1")
def test_oauthbearer_client_says_what_the_rfc_shows() -> None:
    token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    credentials = ClientCredentials("user@example.com", token=token, port=587)
    facts = ChannelFacts(hostname="server.example.com")
    assert next(CLIENTS["OAUTHBEARER"].respond(credentials, facts)) == RFC_7628_SMTP


@pytest.mark.rfc("7628#4.3")
@pytest.mark.rfc("7628#3.2.3")
def test_oauthbearer_failed_example_of_the_rfc() -> None:
    challenges, verdict = play(MECHANISMS["OAUTHBEARER"].start(FACTS), RFC_7628_FAILED, b"\x01")
    assert challenges == [b"", REFUSED_TOKEN]
    assert verdict == Denied(Fault.CREDENTIALS, "user@example.com")
    client = CLIENTS["OAUTHBEARER"].respond(ClientCredentials("tim", token="bad"), FACTS)
    next(client)
    assert client.send(REFUSED_TOKEN) == b"\x01"


@pytest.mark.rfc("7628#3.1")
@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (b"n,,\x01auth=Bearer good-token\x01\x01", Granted("tim")),
        (b"y,,\x01auth=Bearer good-token\x01\x01", Granted("tim")),
        (b"n,a=Tim,\x01auth=bEaReR good-token\x01\x01", Granted("tim")),
        (b"n,a=tim,\x01host=x\x01port=1\x01auth=Bearer good-token\x01\x01", Granted("tim")),
        (b"n,a=tim,\x01unknown=some thing\x01auth=Bearer good-token\x01\x01", Granted("tim")),
        (b"n,a=kurt,\x01auth=Bearer good-token\x01\x01", Denied(Fault.AUTHZID, "tim")),
        (b"n,a=tim,\x01auth=Bearer bad-token\x01\x01", Denied(Fault.CREDENTIALS, "tim")),
        (b"n,a=tim,\x01\x01", Denied(Fault.CREDENTIALS, "tim")),
        (b"p=tls-exporter,,\x01auth=Bearer good-token\x01\x01", Denied(Fault.BINDING)),
        (b"n,a=tim,\x01auth=Basic good-token\x01\x01", Denied(Fault.MALFORMED, "tim")),
        (b"n,a=tim,\x01auth=Bearer two words\x01\x01", Denied(Fault.MALFORMED, "tim")),
        (b"n,a=t=m,\x01auth=Bearer good-token\x01\x01", Denied(Fault.MALFORMED)),
        (b"n,a=tim,\x01auth=Bearer good-token\x01", Denied(Fault.MALFORMED)),
        (b"n,a=tim,\x01auth=Bearer good-token\x01\x01\x01", Denied(Fault.MALFORMED)),
        (b"n,a=tim,x\x01auth=Bearer good-token\x01\x01", Denied(Fault.MALFORMED)),
        (b"n,a=tim,\x01a-b=c\x01auth=Bearer good-token\x01\x01", Denied(Fault.MALFORMED)),
        (b"n,a=tim,\x01novalue\x01auth=Bearer good-token\x01\x01", Denied(Fault.MALFORMED)),
        (b"n,b=tim,\x01auth=Bearer good-token\x01\x01", Denied(Fault.MALFORMED)),
        (b"\x01", Denied(Fault.MALFORMED)),
        (b"", Denied(Fault.MALFORMED)),
        (b"\xff", Denied(Fault.MALFORMED)),
    ],
)
def test_oauthbearer(message: bytes, verdict: Verdict) -> None:
    assert without_words(verdict_of("OAUTHBEARER", message, b"\x01")) == verdict


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (b"user=tim\x01auth=Bearer good-token\x01\x01", Granted("tim")),
        (b"user=TIM\x01auth=bearer good-token\x01\x01", Granted("tim")),
        (b"user=tim\x01auth=Bearer bad-token\x01\x01", Denied(Fault.CREDENTIALS, "tim")),
        (b"user=kurt\x01auth=Bearer good-token\x01\x01", Denied(Fault.AUTHZID, "tim")),
        (b"user=\x01auth=Bearer good-token\x01\x01", Denied(Fault.MALFORMED)),
        (b"user=tim\x01auth=Bearer good-token\x01", Denied(Fault.MALFORMED)),
        (b"user=tim\x01auth=Bearer \x01\x01", Denied(Fault.MALFORMED, "tim")),
        (b"user=tim\x01auth=good-token\x01\x01", Denied(Fault.MALFORMED, "tim")),
        (b"user=tim auth=Bearer good-token\x01\x01", Denied(Fault.MALFORMED)),
        (b"", Denied(Fault.MALFORMED)),
        (b"\xff", Denied(Fault.MALFORMED)),
    ],
)
def test_xoauth2(message: bytes, verdict: Verdict) -> None:
    assert without_words(verdict_of("XOAUTH2", message, b"")) == verdict


def test_xoauth2_shows_the_error_and_ends_with_an_empty_line() -> None:
    challenges, _ = play(
        MECHANISMS["XOAUTH2"].start(FACTS), b"user=tim\x01auth=Bearer bad\x01\x01", b""
    )
    assert challenges == [b"", REFUSED_TOKEN]
    client = CLIENTS["XOAUTH2"].respond(ClientCredentials("tim", token="bad"), FACTS)
    assert next(client) == b"user=tim\x01auth=Bearer bad\x01\x01"
    assert client.send(REFUSED_TOKEN) == b""


# -- EXTERNAL


@pytest.mark.rfc("4422#A")
@pytest.mark.parametrize(
    ("message", "holder", "verdict"),
    [
        (b"", "tim", Granted("tim")),
        (b"Tim", "tim", Granted("tim")),
        (b"kurt", "tim", Denied(Fault.AUTHZID, "tim")),
        (b"", None, Denied(Fault.CREDENTIALS)),
        (b"tim", None, Denied(Fault.CREDENTIALS, "tim")),
        (b"t\0m", "tim", Denied(Fault.MALFORMED)),
        (b"\xff", "tim", Denied(Fault.MALFORMED)),
    ],
)
def test_external(message: bytes, holder: str | None, verdict: Verdict) -> None:
    people = People(certificate_of=holder)
    _, found = play(MECHANISMS["EXTERNAL"].start(FACTS), message, people=people)
    assert without_words(found) == verdict


# -- all of them

BOUND = ChannelFacts("TLSv1.3", b"e" * 32, b"c" * 32, True, "servernonce", "relay.test", 1)
BOUND_CLIENT = ChannelFacts("TLSv1.3", b"e" * 32, b"c" * 32, True, "clientnonce", "relay.test", 1)
RIGHT = ClientCredentials("tim", "tanstaaftanstaaf", "good-token", 587)
WRONG = ClientCredentials("tim", "wrong", "bad-token", 587)


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_our_client_logs_in_at_our_server(name: str) -> None:
    verdict, proven = converse(
        name, RIGHT, ours=BOUND, theirs=BOUND_CLIENT, people=People(certificate_of="tim")
    )
    assert verdict == Granted("tim")
    assert proven == CLIENTS[name].proves_server == name.startswith("SCRAM")


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_our_server_refuses_our_client_with_wrong_credentials(name: str) -> None:
    verdict, proven = converse(name, WRONG, ours=BOUND, theirs=BOUND_CLIENT)
    assert verdict == Denied(Fault.CREDENTIALS, "tim") or isinstance(verdict, Denied)
    assert isinstance(verdict, Denied)
    assert verdict.fault is Fault.CREDENTIALS
    assert not proven


@pytest.mark.parametrize("name", sorted(MECHANISMS))
@given(messages=st.lists(st.binary(max_size=80), min_size=4, max_size=4))
def test_garbage_is_denied_and_never_raises(name: str, messages: list[bytes]) -> None:
    assert isinstance(verdict_of(name, *messages), Denied)


@pytest.mark.parametrize("name", sorted(MECHANISMS))
@given(octets=st.binary(max_size=80), victim=st.integers(1, 6))
def test_garbage_in_the_middle_never_raises(name: str, octets: bytes, victim: int) -> None:
    def meddle(number: int, message: bytes) -> bytes:
        return octets if number == victim else message

    try:
        converse(name, RIGHT, ours=BOUND, theirs=BOUND_CLIENT, meddle=meddle)
    except GaveUpError:
        return


@pytest.mark.parametrize("name", sorted(CLIENTS))
@given(challenges=st.lists(st.binary(max_size=80), max_size=4))
def test_a_client_never_raises_whatever_it_is_asked(name: str, challenges: list[bytes]) -> None:
    client = CLIENTS[name].respond(RIGHT, BOUND_CLIENT)
    next(client)
    outcome = None
    try:
        for octets in challenges:
            client.send(octets)
    except StopIteration as end:
        outcome = end.value
    assert not outcome, "no challenge here is a proof"


def test_secrets_do_not_show_in_asks_and_credentials() -> None:
    for value in (
        CheckPassword("tim", "hunter2"),
        CheckToken("tim", "hunter2"),
        CheckDigest("tim", b"hunter2", "hunter2"),
        ClientCredentials("tim", "hunter2", "hunter2"),
        ChannelFacts(exporter=b"hunter2"),
    ):
        assert "hunter2" not in repr(value)
