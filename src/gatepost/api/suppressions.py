"""The suppression list over HTTP."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from gatepost.api.keys import Admin, Reader, own_account
from gatepost.api.problems import RESPONSES
from gatepost.model.api_key import ApiKey
from gatepost.model.suppression import SuppressionClass
from gatepost.net.clock import now
from gatepost.operate.accounts import By
from gatepost.operate.suppressions import (
    Scope,
    Why,
    add,
    filter_of,
    listing,
    remove,
    suppression_json,
)
from gatepost.store.protocols import Store

router: Final = APIRouter(prefix="/v1/suppressions", tags=["suppressions"], responses=RESPONSES)

Text = Annotated[str, Field(max_length=320)]


class SuppressionIn(BaseModel):
    """An address or "@domain" that mail is no longer sent to; without account: for all."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    subject: Text
    kind: SuppressionClass = Field(SuppressionClass.MANUAL, alias="class")
    account: Text | None = None
    stream: Text = ""
    reason: Annotated[str, Field(max_length=300)] = ""


@router.get("")
async def list_suppressions(
    request: Request,
    key: Reader,
    subject: Annotated[str | None, Query(max_length=320)] = None,
    account: Annotated[str | None, Query(max_length=320)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """List who is suppressed, by address."""
    which = filter_of(subject, Scope(own_account(key, account)))
    return [suppression_json(s) for s in await listing(_store(request), which, limit=limit)]


@router.post("", status_code=201)
async def add_suppression(
    suppression: SuppressionIn, request: Request, key: Admin
) -> dict[str, Any]:
    """Send no more mail to an address or a domain."""
    made = await add(
        _store(request),
        suppression.subject,
        Why(suppression.kind, suppression.reason),
        Scope(own_account(key, suppression.account), suppression.stream),
        by=_by(key),
    )
    return suppression_json(made)


@router.delete("/{subject:path}")  # a local part may have "/"
async def remove_suppression(
    subject: str,
    request: Request,
    key: Admin,
    account: Annotated[str | None, Query(max_length=320)] = None,
    stream: Annotated[str, Query(max_length=64)] = "",
) -> dict[str, Any]:
    """Send to an address or a domain again."""
    scope = Scope(own_account(key, account), stream)
    return suppression_json(await remove(_store(request), subject, scope, by=_by(key)))


def _store(request: Request) -> Store:
    store: Store = request.app.state.api.intake.store
    return store


def _by(key: ApiKey) -> By:
    return By(now(), f"API key {key.id}")
