"""Who asks, and may they? `Authorization: Bearer gp_…` (RFC 6750), looked up at each request."""

import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from gatepost.api.problems import ProblemError
from gatepost.model.account import AccountState
from gatepost.model.api_key import ApiKey, Scope
from gatepost.model.ids import AccountName
from gatepost.net.clock import now
from gatepost.operate.api_keys import find
from gatepost.operate.hand_in import Intake
from gatepost.store.protocols import Store, StoreUnavailableError

_bearer: Final = HTTPBearer(auto_error=False, description='A key of "gatepost api-key add".')
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]

#: Of a busy key the last use is written so often at most.
_NOTED_EVERY: Final = timedelta(minutes=1)


def needs(scope: Scope) -> Callable[[Request, Given], Awaitable[ApiKey]]:
    """Return what lets a request in whose key has a scope."""

    async def check(request: Request, given: Given) -> ApiKey:
        intake: Intake = request.app.state.api.intake
        store = intake.store
        at = now()
        key = None
        if given is not None:
            text = given.credentials
            key = await store.read(lambda reading: find(reading, text, at))
        if key is None:
            raise _stranger()
        if scope not in key.scopes:
            raise ProblemError(403, f'This key has no scope "{scope.value}"')
        await _demand_account(intake, key)
        await _note(store, key, at)
        return key

    return check


def _stranger() -> ProblemError:
    headers = {"WWW-Authenticate": 'Bearer realm="gatepost"'}
    words = "send Authorization: Bearer with a key"
    return ProblemError(401, "A valid API key is needed", words, headers=headers)


async def has_key(store: Store, authorization: str) -> bool:
    """Tell whether an Authorization field has a good key, whatever for.

    Raises:
        StoreUnavailableError: there is no telling.

    """
    scheme, text = get_authorization_scheme_param(authorization)
    if scheme.lower() != "bearer":
        return False
    at = now()
    return await store.read(lambda reading: find(reading, text, at)) is not None


def own_account(key: ApiKey, asked: str | None = None) -> AccountName | None:
    """Return whose things a key may touch: its own account's, or (a key without one) those of the
    account that is asked for, None for everything.

    Raises:
        ProblemError: another account's.

    """
    if key.account is None:
        return None if asked is None else AccountName(asked)
    if asked is not None and asked != key.account:
        raise ProblemError(403, "This key is another account's")
    return key.account


async def _demand_account(intake: Intake, key: ApiKey) -> None:
    """Let nobody in whose account is suspended: a key is a login like any other."""
    if key.account is None:
        return
    entry = await intake.directory.find(key.account)
    if entry is None or entry.account.state is AccountState.SUSPENDED:
        raise ProblemError(403, "The account of this key is suspended", "ask the operator")


async def _note(store: Store, key: ApiKey, at: datetime) -> None:
    """Note when a key was last used, if that can be written: who only looks needs no room on a disk."""
    if key.last_used_at is None or at - key.last_used_at >= _NOTED_EVERY:
        with contextlib.suppress(StoreUnavailableError):
            await store.write(lambda transaction: transaction.note_api_key_use(key.id, at))


Sender = Annotated[ApiKey, Depends(needs(Scope.SEND))]
Reader = Annotated[ApiKey, Depends(needs(Scope.READ))]
Admin = Annotated[ApiKey, Depends(needs(Scope.ADMIN))]
