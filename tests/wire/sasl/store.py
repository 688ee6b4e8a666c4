"""A credential store in memory, and a player that drives exchanges with it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gatepost.wire.sasl.exchange import (
    Answer,
    Challenge,
    ChannelFacts,
    CheckDigest,
    CheckPassword,
    CheckToken,
    ClientCredentials,
    Exchange,
    FetchScram,
    ProveCertificate,
    ReportProof,
    ScramOffer,
    TokenAnswer,
    Verdict,
)
from gatepost.wire.sasl.exchange import Check as CredentialCheck
from gatepost.wire.sasl.mechanisms import CLIENTS, MECHANISMS
from gatepost.wire.sasl.mechanisms.cram_md5 import digest_of
from gatepost.wire.sasl.scram_keys import derive_keys

PASSWORDS = {
    "tim": ["tanstaaftanstaaf"],
    "kurt": ["xipj3plmq"],
    "jürgen": ["pässwörd"],
    "user": ["pencil"],
    "many": ["first", "second", "third"],
    "comma,equals=": ["x"],
}
TOKENS = {"good-token": "tim", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==": "user@example.com"}
REFUSED_TOKEN = b'{"status":"invalid_token"}'
SALT = b"salt of the test"
ROUNDS = 4096


@dataclass
class People:
    """Answers every ask; `salt` and `rounds` are everybody's; `asked` remembers."""

    salt: bytes = SALT
    rounds: int = ROUNDS
    certificate_of: str | None = None
    lets_in: bool = True
    asked: list[CredentialCheck] = field(default_factory=list)

    def answer(self, ask: CredentialCheck) -> Answer:
        self.asked.append(ask)
        match ask:
            case CheckPassword(authcid, password):
                return password in PASSWORDS.get(authcid, [])
            case FetchScram(authcid, algorithm):
                keys = tuple(
                    derive_keys(algorithm, p, self.salt, self.rounds)
                    for p in PASSWORDS.get(authcid, [])
                )
                return ScramOffer(self.salt, self.rounds, keys)
            case ReportProof(_, key):
                return key is not None and self.lets_in
            case CheckDigest(authcid, octets, digest):
                return any(digest_of(p, octets) == digest for p in PASSWORDS.get(authcid, []))
            case CheckToken(_, token):
                holder = TOKENS.get(token)
                return (
                    TokenAnswer(True, holder) if holder else TokenAnswer(False, "", REFUSED_TOKEN)
                )
            case ProveCertificate():
                return self.certificate_of


def play(
    exchange: Exchange, *responses: bytes, people: People | None = None
) -> tuple[list[bytes], Verdict]:
    """Run an exchange with these responses; return the challenges and the verdict."""
    left = list(responses)
    challenges: list[bytes] = []

    def respond(octets: bytes) -> bytes:
        challenges.append(octets)
        return left.pop(0)

    return challenges, drive(exchange, respond, people or People())


def drive(exchange: Exchange, respond: Callable[[bytes], bytes], people: People) -> Verdict:
    """Run an exchange to its verdict."""
    try:
        ask = next(exchange)
        while True:
            if isinstance(ask, Challenge):
                ask = exchange.send(respond(ask.octets))
            else:
                ask = exchange.send(people.answer(ask))
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict


class GaveUpError(Exception):
    """The client would say "*"."""


def converse(
    name: str,
    credentials: ClientCredentials,
    *,
    ours: ChannelFacts,
    theirs: ChannelFacts,
    people: People | None = None,
    meddle: Callable[[int, bytes], bytes] = lambda _, octets: octets,
) -> tuple[Verdict, bool]:
    """Let our client log in at our server; return the verdict and whether the client is content.

    `meddle` sees each message with its number and returns what arrives.

    Raises:
        GaveUpError: the client left.

    """
    client = CLIENTS[name].respond(credentials, theirs)
    number = 0
    initial = next(client)

    def passed(octets: bytes) -> bytes:
        nonlocal number
        number += 1
        return meddle(number, octets)

    def respond(octets: bytes) -> bytes:
        nonlocal initial
        if initial is not None:
            response, initial = initial, None
            return passed(response)
        try:
            answer = client.send(passed(octets))
        except StopIteration:
            raise GaveUpError from None
        assert answer is not None
        return passed(answer)

    verdict = drive(MECHANISMS[name].start(ours), respond, people or People())
    try:
        client.send(b"")
    except StopIteration as end:
        return verdict, end.value
    return verdict, False
