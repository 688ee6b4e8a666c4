"""One click unsubscribes from a stream (RFC 8058): the link goes under our signature, and who used
it gets no more of that stream.

A message has the stream that its header names (Gatepost-Stream), else its account's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from gatepost.identity.master_key import MasterKey
from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Fact
from gatepost.model.ids import AccountName
from gatepost.model.suppression_subject import parse_subject
from gatepost.reception.accept import Accepted
from gatepost.reception.signing import Signer
from gatepost.reception.suppressed import SuppressionList, drop_events, dropped
from gatepost.wire.smtp.replies import SUPPRESSED, Reply

#: Where links lead, below `[http] public_url`.
PATH: Final = "/u/"

_CONTEXT: Final = "unsubscribe"
#: RFC 5322 §2.1.1; a URI cannot be folded.
_LONGEST_LINE: Final = 998
_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A recipient of an account's stream. `address` is canonical (`parse_subject`)."""

    account: AccountName
    stream: str
    address: str


class Links:
    """Makes links, and tells whose they are. They never expire: people keep mail, and all that one
    is good for is to get less of it.
    """

    def __init__(self, master_key: MasterKey, public_url: str) -> None:
        """Take what links begin with; "": there are none, but old ones are still known."""
        self._master_key = master_key
        self.public_url = public_url

    def link(self, subscriber: Subscriber) -> str:
        """Return the link by which somebody unsubscribes; nothing can be read in it."""
        text = f"{subscriber.account}\0{subscriber.stream}\0{subscriber.address}"
        return f"{self.public_url}{PATH}{self._master_key.token(text, _CONTEXT)}"

    def subscriber(self, token: str) -> Subscriber | None:
        """Return whom a link names by its last part; None where it is none of ours."""
        text = self._master_key.read_token(token, _CONTEXT)
        if text is None:
            return None
        account, stream, address = text.split("\0")
        return Subscriber(AccountName(account), stream, address)


class Streams:
    """Minds the stream of a submission: who may not get it, and the link in it."""

    def __init__(self, suppressed: SuppressionList, links: Links, signer: Signer) -> None:
        self._suppressed = suppressed
        self._links = links
        self._signer = signer

    async def mind(self, accepted: Accepted) -> Accepted | Reply:
        """Return a message with its link and without recipients who have unsubscribed, or the reply
        that refuses it for them: by then no reply is about one recipient alone.

        Raises:
            StoreUnavailableError: there is no telling.

        """
        account = accepted.submission.account
        rule = self._suppressed.rule(account) if account else None
        stream = accepted.stream or (rule.stream if rule else "")
        if not account or not rule or not stream:
            return accepted
        if stream != rule.stream:  # else RCPT has been judged by it
            gone = await self._gone(accepted, account, stream)
            if gone and not rule.drops:
                address, why = next(iter(gone.items()))
                return SUPPRESSED.about(f"<{address}> {why}")
            accepted = _without(accepted, gone) if gone else accepted
        if not accepted.stream and not rule.links:
            return replace(accepted, stream=stream)
        return self._with_link(accepted, account, stream)

    async def _gone(self, accepted: Accepted, account: AccountName, stream: str) -> dict[str, str]:
        """Return why recipients get nothing of this stream, by forward-path."""
        gone = {}
        for delivery in _live(accepted):
            address = delivery.forward_path
            found = await self._suppressed.find(address, account, stream)
            if found:
                gone[address] = found.words
        return gone

    def _with_link(self, accepted: Accepted, account: AccountName, stream: str) -> Accepted:
        words, fields = self._fields(accepted, account, stream)
        submission, pieces = accepted.submission, accepted.pieces
        if fields:
            submission = replace(submission, size=submission.size + len(fields))
            pieces = _inserted(pieces, fields)
        told: dict[str, Fact] = {"stream": stream, "unsubscribe": words, "size": submission.size}
        event = replace(accepted.event, facts={**accepted.event.facts, **told})
        return replace(accepted, submission=submission, pieces=pieces, event=event, stream=stream)

    def _fields(self, accepted: Accepted, account: AccountName, stream: str) -> tuple[str, bytes]:
        """Return what is done about a link, in words, and the fields to add."""
        live = _live(accepted)
        address = parse_subject(live[0].forward_path) if len(live) == 1 else None
        if accepted.unsubscribes:
            return "its own List-Unsubscribe", b""
        if not self._links.public_url:
            return "no link: [http] public_url is not set", b""
        if address is None:
            return f"no link: {len(live)} recipients", b""
        if not self._signer.keys_for(accepted.authors):
            return "no link: nobody signs it", b""  # RFC 8058 §4: then it would be ignored
        link = self._links.link(Subscriber(account, stream, address))
        line = f"List-Unsubscribe: <{link}>\r\n".encode()
        if len(line) > _LONGEST_LINE:
            return "no link: it would be too long", b""
        return "link added", line + b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def _live(accepted: Accepted) -> list[Delivery]:
    return [each for each in accepted.deliveries if each.state is not DeliveryState.CANCELLED]


def _without(accepted: Accepted, gone: Mapping[str, str]) -> Accepted:
    """Return a message whose deliveries to some are never tried, with the events that say so."""
    deliveries = tuple(dropped(each, gone) for each in accepted.deliveries)
    events = drop_events(deliveries, accepted.submission)
    return replace(accepted, deliveries=deliveries, more_events=events)


def _inserted(pieces: tuple[bytes, ...], fields: bytes) -> tuple[bytes, ...]:
    """Put fields behind those that we wrote; the first piece ends the header of an empty message."""
    prefix, *rest = pieces
    if prefix.endswith(_END):
        return (prefix[:-2], fields, b"\r\n", *rest)
    return (prefix, fields, *rest)
