"""SCRAM: the RFCs' examples, everything that somebody in the middle might change, an oracle."""

from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import pytest
import scramp
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.wire.sasl.exchange import (
    Algorithm,
    ChannelFacts,
    ClientCredentials,
    Denied,
    Fault,
    FetchScram,
    Granted,
    ReportProof,
    Verdict,
)
from gatepost.wire.sasl.mechanisms import CLIENTS, MECHANISMS
from gatepost.wire.sasl.scram_keys import client_proof, derive_client_keys, derive_keys
from tests.wire.sasl.store import PASSWORDS, GaveUpError, People, converse, drive, play

EXPORTER = b"e" * 32
END_POINT = b"c" * 32
SERVER = ChannelFacts("TLSv1.3", EXPORTER, END_POINT, True, "servernonce", "relay.test", 1)
CLIENT = ChannelFacts("TLSv1.3", EXPORTER, END_POINT, True, "clientnonce", "relay.test", 1)
USER = ClientCredentials("user", "pencil")

#: name, nonces of client and server, salt, client-first, server-first, client-final, server-final
RFC_5802 = (
    "SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
    b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)  # fmt: skip
RFC_7677 = (
    "SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    "W22ZaJ0SNY7soEsUEjb6gQ==",
    b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)  # fmt: skip


@pytest.mark.rfc("5802#5")
@pytest.mark.rfc("7677#3")
@pytest.mark.parametrize("example", [RFC_5802, RFC_7677])
def test_examples_of_the_rfcs(example: Any) -> None:
    name, theirs, ours, salt, client_first, server_first, client_final, server_final = example
    people = People(salt=b64decode(salt))
    exchange = MECHANISMS[name].start(ChannelFacts(nonce=ours))
    challenges, verdict = play(exchange, client_first, client_final, b"", people=people)
    assert challenges == [b"", server_first, server_final]
    assert verdict == Granted("user")

    client = CLIENTS[name].respond(USER, ChannelFacts(nonce=theirs))
    assert next(client) == client_first
    assert client.send(server_first) == client_final
    assert client.send(server_final) == b""
    with pytest.raises(StopIteration) as end:
        client.send(b"")
    assert end.value.value is True


def login(
    name: str = "SCRAM-SHA-256",
    credentials: ClientCredentials = USER,
    *,
    server: ChannelFacts = SERVER,
    client: ChannelFacts = CLIENT,
    people: People | None = None,
) -> Verdict:
    verdict, proven = converse(name, credentials, ours=server, theirs=client, people=people)
    assert proven == isinstance(verdict, Granted)
    return verdict


@pytest.mark.rfc("5802#5.1")
@pytest.mark.parametrize("name", ["comma,equals=", "Jürgen", "USER"])
def test_names_are_quoted_and_prepared(name: str) -> None:
    prepared = name.lower()
    assert login(credentials=ClientCredentials(name, PASSWORDS[prepared][0])) == Granted(prepared)


@pytest.mark.parametrize(("at", "password"), list(enumerate(PASSWORDS["many"])))
def test_every_secret_of_an_account_opens_it(at: int, password: str) -> None:
    people = People()
    assert login(credentials=ClientCredentials("many", password), people=people) == Granted("many")
    assert people.asked == [FetchScram("many", "SHA-256"), ReportProof("many", at)]


def test_an_unknown_name_goes_the_same_way_as_a_wrong_password() -> None:
    def asked(credentials: ClientCredentials) -> list[Any]:
        people = People()
        verdict = login(credentials=credentials, people=people)
        assert isinstance(verdict, Denied)
        assert verdict.fault is Fault.CREDENTIALS
        return [type(a) for a in people.asked]

    assert asked(ClientCredentials("nobody", "x")) == asked(ClientCredentials("user", "x"))


def test_the_store_may_refuse_a_right_proof() -> None:
    assert login(people=People(lets_in=False)) == Denied(Fault.CREDENTIALS, "user")


# -- what a client may say, first message

FIRST = {
    b"n,,n=user,r=abc": None,
    b"n,a=user,n=user,r=abc": None,
    b"n,a=USER,n=user,r=abc": None,
    b"n,a=,n=user,r=abc": None,
    b"n,,n=user,r=abc,x=extension": None,
    b"y,,n=user,r=abc": Fault.BINDING,
    b"p=tls-exporter,,n=user,r=abc": Fault.BINDING,
    b"p=tls-unique,,n=user,r=abc": Fault.BINDING,
    b"n,,m=must,n=user,r=abc": Fault.MALFORMED,
    b"n,,n=user,r=abc,m=must": Fault.MALFORMED,
    b"n,,n=user": Fault.MALFORMED,
    b"n,,r=abc,n=user": Fault.MALFORMED,
    b"n,,n=,r=abc": Fault.MALFORMED,
    b"n,,n=user,r=": Fault.MALFORMED,
    b"n,,n=user,r=a b": Fault.MALFORMED,
    b"n,,n=user,r=\xc3\xa9": Fault.MALFORMED,
    b"n,,n=us=er,r=abc": Fault.MALFORMED,
    b"n,,n=us=2cer,r=abc": Fault.MALFORMED,
    b"n,,n=us\0er,r=abc": Fault.MALFORMED,
    b"n,,n=us\nr,r=abc": Fault.MALFORMED,
    b"n,user,n=user,r=abc": Fault.MALFORMED,
    b"n,n=user,r=abc": Fault.MALFORMED,
    b"n=user,r=abc": Fault.MALFORMED,
    b"N,,n=user,r=abc": Fault.MALFORMED,
    b"p,,n=user,r=abc": Fault.MALFORMED,
    b"p=,,n=user,r=abc": Fault.MALFORMED,
    b"x,,n=user,r=abc": Fault.MALFORMED,
    b"\xff,,n=user,r=abc": Fault.MALFORMED,
    b"": Fault.MALFORMED,
    b"\0user\0pencil": Fault.MALFORMED,
}


@pytest.mark.rfc("5802#7")
@pytest.mark.parametrize(("message", "fault"), FIRST.items())
def test_first_messages(message: bytes, fault: Fault | None) -> None:
    challenges, verdict = play(MECHANISMS["SCRAM-SHA-256"].start(SERVER), message, b"")
    assert isinstance(verdict, Denied)
    if fault is None:
        assert challenges[1].startswith(b"r=abcservernonce,s=")
    else:
        assert (verdict.fault, len(challenges)) == (fault, 1)


# -- what somebody in the middle may change


def swap(victim: int, old: bytes, new: bytes) -> Any:
    """Return a meddler that changes message `victim`: 1 client-first, 2 server-first, 3
    client-final, 4 server-final.
    """

    def meddle(number: int, octets: bytes) -> bytes:
        if number != victim:
            return octets
        assert old in octets
        return octets.replace(old, new, 1)

    return meddle


GIVES_UP = "the client gives up"
BAD_PROOF = b"p=" + b64encode(bytes(32))
TAMPERINGS = {
    "client nonce": (1, b"r=client", b"r=Client", GIVES_UP),
    "name": (1, b"n=user", b"n=tim", Fault.CREDENTIALS),
    "authzid put in": (1, b"p=tls-exporter,,", b"p=tls-exporter,a=user,", Fault.BINDING),
    "binding taken out": (1, b"p=tls-exporter,,", b"n,,", Fault.BINDING),
    "binding said to be unseen": (1, b"p=tls-exporter,,", b"y,,", Fault.BINDING),
    "another binding": (1, b"tls-exporter", b"tls-server-end-point", Fault.BINDING),
    "a binding unknown": (1, b"tls-exporter", b"tls-unique", Fault.BINDING),
    "an extension put in": (1, b",r=clientnonce", b",r=clientnonce,x=y", Fault.CREDENTIALS),
    "server nonce": (2, b"servernonce", b"Servernonce", Fault.MALFORMED),
    "no nonce of the server's": (2, b"servernonce", b"", GIVES_UP),
    "our part of the nonce": (2, b"clientnonce", b"Clientnonce", GIVES_UP),
    "salt": (2, b",s=", b",s=AAAA", Fault.CREDENTIALS),
    "salt not base64": (2, b",s=", b",s=!", GIVES_UP),
    "count higher": (2, b"i=4096", b"i=4097", Fault.CREDENTIALS),
    "count too low": (2, b"i=4096", b"i=4095", GIVES_UP),
    "count too high": (2, b"i=4096", b"i=99999999", GIVES_UP),
    "count no number": (2, b"i=4096", b"i=4096x", GIVES_UP),
    "count negative": (2, b"i=4096", b"i=-1", GIVES_UP),
    "no count": (2, b",i=4096", b"", GIVES_UP),
    "an extension of the server's": (2, b"i=4096", b"i=4096,x=y", Fault.CREDENTIALS),
    "a mandatory extension": (2, b"i=4096", b"i=4096,m=y", GIVES_UP),
    "server-first no UTF-8": (2, b"r=", b"\xff", GIVES_UP),
    "nonce in the final": (3, b"r=client", b"r=Client", Fault.MALFORMED),
    "binding data": (3, b"c=cD10", b"c=cD11", Fault.BINDING),
    "binding not base64": (3, b"c=", b"c=!", Fault.MALFORMED),
    "extension in the final": (3, b",p=", b",x=y,p=", Fault.CREDENTIALS),
    "mandatory extension in the final": (3, b",p=", b",m=y,p=", Fault.MALFORMED),
    "proof cut": (3, b",p=", b",p=AAAA", Fault.MALFORMED),
    "proof not base64": (3, b",p=", b",p=!", Fault.MALFORMED),
    "no proof": (3, b",p=", b",q=", Fault.MALFORMED),
    "server signature": (4, b"v=", b"v=A", GIVES_UP),
    "an error instead": (4, b"v=", b"e=other-error,v=", GIVES_UP),
    "nothing instead": (4, b"v=", b"", GIVES_UP),
}


@pytest.mark.rfc("5802#6")
@pytest.mark.rfc("5802#9")
@pytest.mark.parametrize(("case", "tampering"), TAMPERINGS.items())
def test_tampering_is_found(case: str, tampering: Any) -> None:
    victim, old, new, end = tampering
    try:
        verdict, proven = converse(
            "SCRAM-SHA-256-PLUS", USER, ours=SERVER, theirs=CLIENT, meddle=swap(victim, old, new)
        )
    except GaveUpError:
        assert end == GIVES_UP, case
        return
    assert not proven
    assert isinstance(verdict, Denied)
    assert verdict.fault is end, case


@settings(max_examples=200)
@given(victim=st.integers(1, 4), at=st.integers(0, 200), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(victim: int, at: int, bit: int) -> None:
    changed = False

    def meddle(number: int, octets: bytes) -> bytes:
        nonlocal changed
        if number != victim or at >= len(octets):
            return octets
        changed = True
        return octets[:at] + bytes((octets[at] ^ 1 << bit,)) + octets[at + 1 :]

    try:
        verdict, proven = converse(
            "SCRAM-SHA-256-PLUS", USER, ours=SERVER, theirs=CLIENT, meddle=meddle
        )
    except GaveUpError:
        assert changed
        return
    assert (proven, isinstance(verdict, Granted)) == (not changed, not changed)


def test_more_after_the_server_has_proven_itself_is_not_taken() -> None:
    def with_more(number: int, octets: bytes) -> bytes:
        return b"more" if number == 5 else octets

    verdict, _ = converse("SCRAM-SHA-256-PLUS", USER, ours=SERVER, theirs=CLIENT, meddle=with_more)
    assert isinstance(verdict, Denied)


def test_an_authzid_that_is_not_its_own_is_refused_after_the_proof() -> None:
    def run(password: str) -> Verdict:
        people = People()
        exchange = MECHANISMS["SCRAM-SHA-256"].start(SERVER)
        next(exchange)
        ask = exchange.send(b"n,a=kurt,n=user,r=abc")
        assert isinstance(ask, FetchScram)
        offered: Any = exchange.send(people.answer(ask))
        server_first = offered.octets
        without_proof = b"c=" + b64encode(b"n,a=kurt,") + b",r=abcservernonce"
        message = b"n=user,r=abc," + server_first + b"," + without_proof
        client_keys = derive_client_keys("SHA-256", password, people.salt, people.rounds)
        proof = client_proof("SHA-256", client_keys.client_key, message)
        report: Any = exchange.send(without_proof + b",p=" + b64encode(proof))
        with pytest.raises(StopIteration) as end:
            exchange.send(people.answer(report))
        verdict: Verdict = end.value.value
        return verdict

    assert run("pencil") == Denied(Fault.AUTHZID, "user")
    assert run("wrong") == Denied(Fault.CREDENTIALS, "user")


# -- channel binding


@pytest.mark.rfc("5802#6")
@pytest.mark.rfc("9266#3")
@pytest.mark.parametrize(
    ("name", "server", "client", "fault"),
    [
        ("SCRAM-SHA-256-PLUS", SERVER, CLIENT, None),
        # the client has no exporter: it binds to the certificate
        ("SCRAM-SHA-256-PLUS", SERVER, replace(CLIENT, exporter=None), None),
        ("SCRAM-SHA-256-PLUS", SERVER, replace(CLIENT, exporter=b"x" * 32), Fault.BINDING),
        (
            "SCRAM-SHA-256-PLUS", SERVER,
            replace(CLIENT, exporter=None, end_point=b"x" * 32), Fault.BINDING,
        ),
        ("SCRAM-SHA-256-PLUS", replace(SERVER, exporter=None), CLIENT, Fault.BINDING),
        (
            "SCRAM-SHA-256-PLUS", replace(SERVER, end_point=None),
            replace(CLIENT, exporter=None), Fault.BINDING,
        ),
        # the client saw the offer and was told to do without
        ("SCRAM-SHA-256", SERVER, CLIENT, None),
        # the client could, and did not see that we could: "y"
        ("SCRAM-SHA-256", SERVER, replace(CLIENT, offers_plus=False), Fault.BINDING),
        ("SCRAM-SHA-1", SERVER, replace(CLIENT, offers_plus=False), Fault.BINDING),
        (
            "SCRAM-SHA-256", replace(SERVER, offers_plus=False),
            replace(CLIENT, offers_plus=False), None,
        ),
        # neither can
        (
            "SCRAM-SHA-256", ChannelFacts("TLSv1.2", nonce="s"),
            ChannelFacts("TLSv1.2", nonce="c"), None,
        ),
    ],
)  # fmt: skip
def test_channel_binding(
    name: str, server: ChannelFacts, client: ChannelFacts, fault: Fault | None
) -> None:
    verdict = login(name, server=server, client=client)
    assert (verdict.fault if isinstance(verdict, Denied) else None) == fault


@pytest.mark.parametrize("flag", [b"n", b"y", b"p=tls-unique"])
def test_plus_needs_a_binding_that_we_have(flag: bytes) -> None:
    facts = replace(SERVER, offers_plus=False)
    message = flag + b",,n=user,r=abc"
    _, verdict = play(MECHANISMS["SCRAM-SHA-256-PLUS"].start(facts), message)
    assert isinstance(verdict, Denied)
    assert verdict.fault is Fault.BINDING


# -- an implementation by others


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
@pytest.mark.parametrize(("user", "password"), [("user", "pencil"), ("jürgen", "pässwörd")])
def test_a_client_by_others_logs_in_here(name: str, user: str, password: str) -> None:
    binding = ("tls-server-end-point", END_POINT) if name.endswith("PLUS") else None
    other = scramp.ScramClient([name], user, password, channel_binding=binding)
    exchange = MECHANISMS[name].start(SERVER)
    people = People()
    challenges: list[bytes] = []

    def respond(octets: bytes) -> bytes:
        challenges.append(octets)
        if len(challenges) == 1:
            return other.get_client_first().encode()
        if len(challenges) == 2:
            other.set_server_first(octets.decode())
            return other.get_client_final().encode()
        other.set_server_final(octets.decode())
        return b""

    assert drive(exchange, respond, people) == Granted(user)
    assert len(challenges) == 3


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
def test_our_client_logs_in_at_a_server_by_others(name: str) -> None:
    binding = ("tls-server-end-point", END_POINT) if name.endswith("PLUS") else None
    mechanism = scramp.ScramMechanism(name)
    info = mechanism.make_auth_info("pencil", iteration_count=4096)
    server = mechanism.make_server({"user": info}.__getitem__, channel_binding=binding)
    client = CLIENTS[name].respond(USER, replace(CLIENT, exporter=None))
    first = next(client)
    assert first is not None
    server.set_client_first(first.decode())
    final = client.send(server.get_server_first().encode())
    assert final is not None
    server.set_client_final(final.decode())
    assert client.send(server.get_server_final().encode()) == b""


@pytest.mark.parametrize("algorithm", ["SHA-1", "SHA-256"])
def test_keys_are_those_of_an_implementation_by_others(algorithm: Algorithm) -> None:
    mechanism = scramp.ScramMechanism(f"SCRAM-{algorithm}")
    salt, stored, server, count = mechanism.make_auth_info("pencil", 4096, b"sixteen octets!!")
    ours = derive_keys(algorithm, "pencil", salt, count)
    assert (ours.stored_key, ours.server_key) == (stored, server)
