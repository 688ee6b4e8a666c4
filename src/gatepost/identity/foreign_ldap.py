"""LDAP as a directory: the server tries the password, we never see a hash."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from gatepost.identity.directory import Entry
from gatepost.identity.foreign import Asker, Breaker, Heard
from gatepost.identity.foreign_account import account_of, entry_of, names_of, own_address
from gatepost.identity.turns import BusyError
from gatepost.model.grant import parse_grant
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret
from gatepost.model.wrong import WrongValueError
from gatepost.net.ldap import LdapAwayError, LdapClient, LdapEntry, LdapError, Question

T = TypeVar("T")

#: Active Directory's words where the password was right (Microsoft, "LDAP error 49" sub-codes):
#: the account is disabled, or has expired; the others are about a password to be changed.
_DISABLED: Final = ("data 533", "data 701")
#: Seconds: an answer that comes just in time has to reach us, too.
_GRACE: Final = 0.5


class LdapDirectory:
    """One LDAP server, or several that know the same."""

    has_keys = False

    def __init__(self, label: str, client: LdapClient, *, at_once: int, timeout: float) -> None:
        """Take `timeout`, in seconds, for a whole question."""
        self.label = label
        self._client = client
        self._timeout = timeout
        self._breaker = Breaker(label, at_once)
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix=f"ldap {label}")

    @property
    def can_look_up(self) -> bool:
        """Tell whether it finds accounts without their password."""
        return self._client.can_look_up

    async def find(self, name: AccountName) -> Entry | None:
        """Return an account as it is now."""
        found = await self._ask(lambda q: self._client.find(names_of(name), q), Asker())
        return self._entry(name, found) if found is not None else None

    async def check(self, name: AccountName, password: str, asker: Asker) -> Heard:
        """Try a password."""
        secret = Secret(password)
        answer = await self._ask(lambda q: self._client.check(names_of(name), secret, q), asker)
        if answer.right and answer.entry is None:
            raise self._breaker.unclear("who was let in cannot read the own entry")
        entry = self._entry(name, answer.entry) if answer.entry is not None else None
        if not answer.right and is_disabled(answer.words):
            account = account_of(name, (), suspended=True)
            return Heard(entry_of(self.label, account), True, answer.words)
        # By bind alone, no answer tells an unknown name from a wrong password.
        decides = entry is None and bool(answer.words)
        return Heard(entry, answer.right, answer.words, decides=decides)

    async def close(self) -> None:
        """Let questions that are under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _entry(self, name: AccountName, found: LdapEntry) -> Entry:
        senders = addresses(found.values) if self._client.has_attributes else own_address(name)
        return entry_of(self.label, account_of(name, senders, suspended=found.is_suspended))

    async def _ask(self, work: Callable[[Question], T], asker: Asker) -> T:
        self._breaker.look()
        question = Question()
        has_begun = False

        def guarded() -> T:
            nonlocal has_begun
            self._breaker.look()  # it fell silent while this one waited
            has_begun = True
            return work(question)

        turns = self._breaker.turns
        try:
            async with asyncio.timeout(self._timeout + _GRACE):
                return await turns.run_in(self._pool, guarded, asker.client, asker.outdated)
        except TimeoutError:
            question.give_up()  # its thread is wanted by others
            if not has_begun:
                raise BusyError from None
            raise self._breaker.broken(f"no answer within {self._timeout:g} s") from None
        except LdapAwayError as problem:
            raise self._breaker.broken(problem) from None
        except LdapError as problem:
            raise self._breaker.unclear(problem) from None


def addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses among an attribute's values, as accounts keep them.

    Whole domains and patterns are left out: in many directories people may change their own
    entry, and "*" would be everybody's address.
    """
    found = []
    for value in values:
        try:
            grant = parse_grant(value)
        except WrongValueError:
            continue
        local_part, at, domain = grant.rpartition("@")
        if at and local_part and "*" not in grant and not domain.startswith("."):
            found.append(grant)
    return tuple(found)


def is_disabled(words: str) -> bool:
    """Tell whether a refusal says that the password was right, and the account is not to be used."""
    return any(f"{code}," in words for code in _DISABLED)
