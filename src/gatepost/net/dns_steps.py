"""Drive an evaluation that asks for DNS answers (`wire.records.question`) with a resolver."""

from typing import Protocol, TypeVar

from gatepost.net.resolver import DnsTemporaryError, NoSuchDomainError
from gatepost.wire.records.mx import parse_mx
from gatepost.wire.records.question import Answer, Asking, Question, RecordType
from gatepost.wire.records.txt import parse_txt

V = TypeVar("V")


class Knows(Protocol):
    """A `Resolver`, or what answers on somebody's behalf."""

    async def records(self, name: str, kind: str) -> tuple[str, ...]:
        """Return a name's records of one type; see `Resolver.records`."""
        ...


async def evaluated(asking: Asking[V], resolver: Knows) -> V:
    """Answer an evaluation's questions, one after the other, and return its verdict."""
    try:
        question = next(asking)
        while True:
            question = asking.send(await answer_to(question, resolver))
    except StopIteration as end:
        verdict: V = end.value
        return verdict


async def answer_to(question: Question, resolver: Knows) -> Answer:
    """Look a question up."""
    try:
        texts = await resolver.records(question.name, question.kind.value)
    except NoSuchDomainError:
        return Answer(exists=False)
    except DnsTemporaryError:
        return Answer(failed=True)
    if question.kind is RecordType.TXT:
        return Answer(tuple(map(parse_txt, texts)))
    if question.kind is RecordType.MX:
        records = sorted(map(parse_mx, texts), key=lambda record: record.preference)
        return Answer(tuple(record.host for record in records))
    return Answer(tuple(text.removesuffix(".") for text in texts))
