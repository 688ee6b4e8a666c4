"""Submit a message, judge it, follow it."""

import base64
from ipaddress import ip_address
from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from gatepost.api.keys import Admin, Reader, Sender, own_account
from gatepost.api.problems import RESPONSES, ProblemError
from gatepost.model.api_key import ApiKey
from gatepost.model.ids import SubmissionId
from gatepost.net.clock import now
from gatepost.operate.explain import crowds, explain
from gatepost.operate.hand_in import HandedIn, Intake, Parcel, hand_in
from gatepost.operate.judge import judge
from gatepost.operate.trace import follow
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.replies import Reply

router: Final = APIRouter(prefix="/v1", responses=RESPONSES)

#: Refused recipients that an answer lists.
_MOST_TOLD: Final = 100
#: Longer addresses there are none (RFC 5321 §4.5.3.1.3).
Address = Annotated[str, Field(max_length=320)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[!-~]+$",
        description="The message is queued once, however often it is sent under this key.",
    ),
]
Identifier = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]


class MessageIn(BaseModel):
    """A message and its envelope. Content is a whole RFC 5322 message: as text (its characters are
    sent as UTF-8, a line end may be LF), or any octets in base64.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    sender: Address = Field(alias="from", description='Reverse-path; "" for the null one.')
    to: Annotated[list[Address], FailFast()] = Field(
        min_length=1, max_length=100_000, description="Forward-paths."
    )
    content: str | None = None
    content_base64: str | None = None

    @model_validator(mode="after")
    def _one_content(self) -> "MessageIn":
        if (self.content is None) == (self.content_base64 is None):
            msg = "give either content or content_base64"
            raise ValueError(msg)
        return self

    def octets(self) -> bytes:
        """Return the content. Raises ProblemError."""
        try:
            if self.content_base64 is not None:
                return base64.b64decode(self.content_base64, validate=True)
            return (self.content or "").encode()
        except ValueError:  # what is no base64, no ASCII, or half of a surrogate pair
            raise ProblemError(422, "The content cannot be decoded") from None


class MessageOut(BaseModel):
    """A message that was queued, now (202) or before under the same key (200)."""

    id: str
    repeated: bool = False


@router.post("/messages", status_code=202, tags=["messages"])
async def submit(
    message: MessageIn, request: Request, response: Response, key: Sender, once: Key = None
) -> MessageOut:
    """Queue a message for all its recipients, or for none.

    It goes through the same rules as on port 587, as the key's account. A refusal names the SMTP
    reply, and the recipients that are in the way.
    """
    parcel = await _parcel(message, request, key, once)
    handed = await hand_in(parcel, _intake(request))
    reply = handed.reply
    if not reply.accepts:
        raise _refusal(handed)
    identifier = reply.text.rsplit(" ", 1)[-1]
    repeated = reply.text.startswith(replies.QUEUED_BEFORE.text)
    if reply.text.startswith(replies.JUDGED.text):
        raise ProblemError(422, "The content asks to be judged only", "use POST /v1/judge")
    if repeated:
        response.status_code = 200
    return MessageOut(id=identifier, repeated=repeated)


@router.post("/judge", tags=["messages"])
async def judge_message(message: MessageIn, request: Request, key: Sender) -> dict[str, Any]:
    """Tell what would become of a message, rule by rule; nothing is queued, no quota is spent."""
    parcel = await _parcel(message, request, key, None)
    return (await judge(parcel, _intake(request))).as_json()


@router.get("/messages/{identifier}", tags=["messages"])
async def trace_message(identifier: Identifier, request: Request, key: Reader) -> dict[str, Any]:
    """Tell what became of a message: its deliveries, and all that happened to it."""
    traced = await follow(_intake(request).store, SubmissionId(identifier))
    owner = own_account(key)
    message = traced.submission
    known = message is not None or traced.events
    foreign = owner is not None and (message is None or message.account != owner)
    if not known or foreign:  # another account's is told apart from none by nobody
        raise ProblemError(404, "There is no such message")
    return traced.as_json()


@router.get("/explain/{tag}", tags=["logins"])
async def explain_login(
    tag: Annotated[str, Path(max_length=64)], request: Request, key: Admin
) -> dict[str, Any]:
    """Tell why a login was refused, from the tag in the 535 reply."""
    owner = own_account(key)
    found = await explain(_intake(request).store, tag, now())
    if found is None or (owner is not None and found.account != owner):
        # Whose they were, of many, is known to who may see all.
        crowd = await crowds(_intake(request).store, now()) if owner is None else ()
        words = "; ".join(each.words for each in crowd)
        detail = f"beyond 20 of a client in a minute, tags are not kept: {words}" if crowd else ""
        raise ProblemError(404, "There is no such refused login in the last 7 days", detail)
    return found.as_json()


def _intake(request: Request) -> Intake:
    intake: Intake = request.app.state.api.intake
    return intake


async def _parcel(message: MessageIn, request: Request, key: ApiKey, once: str | None) -> Parcel:
    if key.account is None:
        raise ProblemError(403, "This key has no account to send as")
    content = message.octets()
    # As text it takes up to four times its octets, and would be kept until the answer.
    message.content = message.content_base64 = None
    (await request.json()).clear()
    return Parcel(
        account=key.account,
        reverse_path=message.sender,
        recipients=tuple(message.to),
        content=content,
        client=_client_of(request),
        key=once or "",
        by=key,
    )


def _client_of(request: Request) -> str:
    """Return the IP address of who sent a request, as far as it is one: a proxy may say anything."""
    host = request.client.host if request.client else ""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return ""


def _refusal(handed: HandedIn) -> ProblemError:
    """Return an SMTP reply as a problem: 4yz is 429 for quotas and 503 for the rest."""
    reply = handed.reply
    more: dict[str, Any] = {"reply": _reply_json(reply)}
    if handed.refused:
        more["recipients"] = [
            {"recipient": text} | _reply_json(each)
            for text, each in islice(handed.refused.items(), _MOST_TOLD)
        ]
    if reply.text.startswith(replies.KEY_REUSED.text):
        return ProblemError(409, reply.text, more=more)
    if reply.text.startswith(replies.QUOTA_SPENT.text):
        return ProblemError(429, "The quota is spent", reply.text, more)
    if handed.refused:
        words = f"{len(handed.refused)} recipients are refused; nothing was queued"
        return ProblemError(422, "Recipients were refused", words, more)
    is_final = reply.code >= 500 or reply.text.startswith(replies.TOO_MANY_RECIPIENTS.text)
    status = 422 if is_final else 503
    return ProblemError(status, "The message was refused", reply.text, more)


def _reply_json(reply: Reply) -> dict[str, Any]:
    return {"code": reply.code, "status": reply.status, "text": reply.text}
