"""Signatures that came with a message: do they hold (RFC 6376 §6)?"""

import asyncio
from collections.abc import Sequence
from typing import Final

from gatepost.net.dns_steps import Knows, answer_to
from gatepost.wire.dkim.verify import DkimVerdict, queries, verify
from gatepost.wire.records.question import Question, RecordType

#: Octets above which hashing would hold up other sessions: it goes to a thread.
_LARGE: Final = 128 * 1024


async def verdicts(
    content: bytes, resolver: Knows, now: int, until: float
) -> Sequence[DkimVerdict]:
    """Return a verdict for each signature, the first ones of many.

    Args:
        content: the whole message.
        resolver: who knows the keys.
        now: seconds since the Unix epoch.
        until: when to stop waiting for keys, by the event loop's clock.

    """
    names = queries(content)
    found = await asyncio.gather(*(_key(name, resolver, until) for name in names))
    records = dict(zip(names, found, strict=True))
    if len(content) <= _LARGE:
        return verify(content, records, now)
    return await asyncio.to_thread(verify, content, records, now)


async def _key(name: str, resolver: Knows, until: float) -> tuple[str, ...] | None:
    try:
        async with asyncio.timeout_at(until):
            answer = await answer_to(Question(name, RecordType.TXT), resolver)
    except TimeoutError:
        return None
    return None if answer.failed else answer.texts
