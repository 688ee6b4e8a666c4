"""What a server said to each forward-path of one transaction (RFC 5321 §3.3, RFC 2033 §4.2)."""

from gatepost.wire.smtp.client_events import Verdict
from gatepost.wire.smtp.reply_reader import Answered, ServerReply, answering


class Verdicts:
    """One for each forward-path, in the order of its envelope; refusals know what they answered."""

    __slots__ = ("_heard", "_said", "accepted")

    def __init__(self, count: int) -> None:
        self._said: list[Verdict | None] = [None] * count
        self._heard = 0
        #: Positions of accepted forward-paths, in order (the replies of LMTP follow it).
        self.accepted: list[int] = []

    @property
    def are_heard(self) -> bool:
        """Whether each RCPT has its reply."""
        return self._heard >= len(self._said)

    def refuse_all(self, reply: ServerReply) -> None:
        """Take a refusal of MAIL: nobody is left."""
        self._said = [answering(Answered.MAIL, reply)] * len(self._said)

    def hear_rcpt(self, reply: ServerReply, *, rehearsing: bool) -> None:
        """Take the reply to the next RCPT; where MAIL was refused it says nothing new."""
        position = self._heard
        self._heard += 1
        if self._said[position] is not None:
            return
        if reply.code // 100 == 2:
            self.accepted.append(position)
            self._said[position] = reply if rehearsing else None
        else:
            self._said[position] = answering(Answered.RCPT, reply)

    def hear_one(self, reply: ServerReply, left: int) -> None:
        """Take LMTP's reply to the content for one recipient; `left` more are to come."""
        self._said[self.accepted[-1 - left]] = answering(Answered.CONTENT_FOR_ONE, reply)

    def hear_end(self, reply: ServerReply, *, early: bool) -> None:
        """Take SMTP's reply to the content; `early`: perhaps it answers something else."""
        is_for_one = len(self.accepted) == 1 and not early
        about = Answered.CONTENT_FOR_ONE if is_for_one else Answered.CONTENT
        self.give(answering(about, reply))

    def give(self, verdict: Verdict) -> None:
        """Give everybody who has none this verdict."""
        self._said = [verdict if v is None else v for v in self._said]

    def all(self) -> tuple[Verdict, ...]:
        """Return those that there are."""
        return tuple(v for v in self._said if v is not None)
