"""The probe's login: whether a secret may go out, and by which mechanism.

The one place of the probe that knows how a client session logs in.
"""

from dataclasses import dataclass
from typing import Final

from gatepost.model.route import ClientCertificate
from gatepost.model.secret import Secret
from gatepost.net.channel_facts import channel_facts
from gatepost.operate.probe_seen import LoginSeen, PortSeen, Withheld
from gatepost.operate.probe_talk import Talk
from gatepost.wire.sasl.exchange import ClientCredentials
from gatepost.wire.smtp.client_events import LoginRefused
from gatepost.wire.smtp.client_login import choose_mechanism

#: Mechanisms for which the secret is an access token.
_BY_TOKEN: Final = frozenset({"XOAUTH2", "OAUTHBEARER"})


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials to try. `mechanism` None: the strongest that both sides have.

    `password` is the access token where the named mechanism wants one, and empty where `certificate`,
    which is shown in the handshake, says who we are. `insecure`: also where the server's certificate
    is not good.
    """

    username: str
    password: Secret
    mechanism: str | None = None
    insecure: bool = False
    certificate: ClientCertificate | None = None


def begin(talk: Talk, login: Login, seen: PortSeen, host: str) -> LoginSeen:
    """Say AUTH, or return why not; the reply, if AUTH was said, comes with the next event."""
    if (why := withheld(seen, login)) is not None:
        return LoginSeen(withheld=why)
    credentials = _credentials(login, seen.port)
    facts = channel_facts(talk.connection, hostname=host)
    chosen = choose_mechanism(seen.mechanisms, login.mechanism, credentials, facts)
    if chosen is None:
        return LoginSeen(withheld=Withheld.NO_MECHANISM)
    talk.session.log_in_as(credentials, facts, mechanism=chosen)
    return LoginSeen(mechanism=chosen)


def refused(seen: LoginSeen, event: LoginRefused) -> LoginSeen:
    """Return what became of a login that was refused, or that we did not believe."""
    unproven = event.reply is not None and event.reply.code < 400
    return LoginSeen(seen.mechanism, event.reply, unproven=unproven, words=event.words)


def withheld(seen: PortSeen, login: Login) -> Withheld | None:
    """Return why a secret must not go out at this port; None: it may."""
    if not seen.mechanisms:
        return Withheld.NOT_OFFERED
    if seen.tls is None or seen.tls.outdated:
        return Withheld.CLEAR
    if seen.tls.distrust and not (login.insecure or seen.is_loopback):
        return Withheld.DISTRUST
    return None


def _credentials(login: Login, port: int) -> ClientCredentials:
    secret = login.password.reveal()
    if login.mechanism in _BY_TOKEN:
        return ClientCredentials(login.username, token=secret, port=port)
    return ClientCredentials(login.username, secret, port=port)
