"""A message that we took responsibility for (RFC 5321 §4.2.5), without its content."""

from datetime import datetime
from enum import StrEnum

from gatepost.model.ids import AccountName, CredentialId, SubmissionId
from gatepost.wire.smtp.notification import Ret
from gatepost.wire.values import value


class Origin(StrEnum):
    """By which door a message came in."""

    SUBMISSION = "submission"
    MX = "mx"
    RETURN = "return"


@value(frozen=True, slots=True)
class Submission:
    """One accepted message.

    `reverse_path` is "" for the null reverse-path; else local-part@domain, domain in lower case.
    `message_id` is the header's Message-ID with its angle brackets, "" where there is none.
    `size` is in octets, as stored (with our prefix). `ret` and `envid` ("" for none; xtext as it
    came) are for reports (RFC 3461 §4.3, §4.4). `priority` is the one to pass on (RFC 6710 §4.2).
    `hold` is "for;3600" or "until;2026-12-24T08:00:00Z", as it was asked for (RFC 4865 §5.1.2), and
    `release_at` when that is over.
    """

    id: SubmissionId
    reverse_path: str
    size: int
    received_at: datetime
    origin: Origin = Origin.SUBMISSION
    account: AccountName | None = None
    message_id: str = ""
    client: str = ""
    eight_bit: bool = False
    #: Not lines of text (BODY=BINARYMIME, RFC 3030 §3); a path or a header field is not ASCII.
    binary: bool = False
    utf8: bool = False
    ret: Ret | None = None
    envid: str = ""
    priority: int = 0
    hold: str = ""
    release_at: datetime | None = None
    #: With what the account had logged in.
    credential: CredentialId | None = None
