"""A message that we took responsibility for (RFC 5321 §4.2.5), without its content."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gatepost.model.ids import AccountName, SubmissionId


class Origin(StrEnum):
    """By which door a message came in."""

    SUBMISSION = "submission"
    MX = "mx"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Submission:
    """One accepted message.

    `reverse_path` is "" for the null reverse-path; else local-part@domain, domain in lower case.
    `message_id` is the header's Message-ID with its angle brackets, "" where there is none.
    `size` is in octets, as stored (with our prefix).
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
