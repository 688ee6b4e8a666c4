"""What a client asks of us in header fields of our own; none of them leaves this machine.

Gatepost-Idempotency-Key: order-4711   the message is queued once, however often it is sent
Gatepost-Judge: yes                    it is judged, and not queued
Gatepost-Stream: news                  its stream: who unsubscribes gets no more of it
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gatepost.model.event import Fact
from gatepost.model.suppression_subject import is_stream_name
from gatepost.wire.message.header import HeaderFault, scan
from gatepost.wire.smtp.replies import BAD_CONTENT, Reply

KEY_FIELD: Final = b"gatepost-idempotency-key"
JUDGE_FIELD: Final = b"gatepost-judge"
STREAM_FIELD: Final = b"gatepost-stream"

_LONGEST_KEY: Final = 200
#: What a program that builds its message anew for a second try may write differently.
_MAY_DIFFER: Final = frozenset({b"date", b"message-id"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a message asks: to be queued once under a key, to be judged only, its stream ("": none)."""

    key: str | None
    is_trial: bool
    stream: str


def wanted(instructions: Mapping[bytes, bytes]) -> Wanted | Reply:
    """Return what a message asks, or the reply that refuses it."""
    key, trial, stream = key_of(instructions), is_trial(instructions), stream_of(instructions)
    if isinstance(trial, Reply):
        return trial
    if isinstance(key, Reply):
        return key
    return stream if isinstance(stream, Reply) else Wanted(key, trial, stream)


def key_of(instructions: Mapping[bytes, bytes]) -> str | Reply | None:
    """Return the idempotency key, None where there is none, or the reply that refuses it."""
    body = instructions.get(KEY_FIELD)
    if body is None:
        return None
    key = body.strip().decode("latin-1")
    if 0 < len(key) <= _LONGEST_KEY and all("!" <= c <= "~" for c in key):
        return key
    words = f"Gatepost-Idempotency-Key is not 1 to {_LONGEST_KEY} printable characters"
    return BAD_CONTENT.about(words)


def is_trial(instructions: Mapping[bytes, bytes]) -> bool | Reply:
    """Tell whether the message is only to be judged, or refuse the field."""
    body = instructions.get(JUDGE_FIELD, b"no").strip().lower()
    if body in {b"yes", b"no"}:
        return body == b"yes"
    return BAD_CONTENT.about("Gatepost-Judge is neither yes nor no")


def stream_of(instructions: Mapping[bytes, bytes]) -> str | Reply:
    """Return the stream that the message names, "" for none, or refuse the field."""
    body = instructions.get(STREAM_FIELD)
    if body is None:
        return ""
    name = body.strip().decode("latin-1")
    if is_stream_name(name):
        return name
    return BAD_CONTENT.about("Gatepost-Stream is not 1 to 64 letters, digits, or any of - _ .")


def digest_of(envelope: Iterable[str], content: bytes) -> bytes:
    """Return what tells one message from another: its envelope and content, whatever Date and
    Message-ID say.
    """
    digest = hashlib.blake2b("\n".join(envelope).encode("utf-8", "replace"), digest_size=32)
    digest.update(b"\0")
    header = scan(content)
    if isinstance(header, HeaderFault):
        digest.update(content)
        return digest.digest()
    for field in header.fields():
        if field.name not in _MAY_DIFFER:
            digest.update(content[field.start : field.end])
    digest.update(memoryview(content)[header.end :])
    return digest.digest()


def verdict_words(facts: Mapping[str, Fact]) -> str:
    """Return in one line what became of a message that was only judged: its event's facts."""
    words = [f"{facts.get('recipients')} recipients, {facts.get('size')} octets"]
    words.append(f"signed by {facts['signed']}" if facts.get("signed") else "not signed")
    if alignment := facts.get("alignment"):
        words.append(str(alignment))
    if pool := facts.get("pool"):
        words.append(f"pool {pool}")
    if stream := facts.get("stream"):
        words.append(f"stream {stream}: {facts.get('unsubscribe')}")
    return "; ".join(words)
