"""Refresh tokens for upstream logins, against a provider over real HTTP: expiry, rotation, outage."""

import asyncio
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.delivery.refresh import RefreshFailedError, refresh
from gatepost.delivery.tokens import TokenFailedError, UpstreamTokens, read_answer
from gatepost.model.route import RefreshGrant
from gatepost.model.secret import Secret
from tests.support.openid_provider import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def grant(provider: Provider, tmp_path: Path) -> RefreshGrant:
    file = tmp_path / "refresh"
    file.write_text(provider.grant(email="me@example.com") + "\n")
    return RefreshGrant(f"{provider.issuer}/token", "gatepost", Secret("s3cret"), file)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.rfc("6749#6")
async def test_a_rotated_token_takes_the_place_of_the_former_one(
    provider: Provider, grant: RefreshGrant
) -> None:
    file = grant.refresh_token_file
    for _ in range(3):
        before = file.read_text()
        answer = await refresh(grant)
        assert file.read_text() == answer["refresh_token"] + "\n" != before
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [f["grant_type"] for f in provider.forms] == ["refresh_token"] * 3
    assert [p.name for p in file.parent.iterdir()] == ["refresh"]


@pytest.mark.rfc("6749#6")
async def test_a_token_that_is_not_rotated_stays(provider: Provider, grant: RefreshGrant) -> None:
    provider.rotates = False
    file = grant.refresh_token_file
    was = file.read_bytes(), file.stat().st_ino
    await refresh(grant)
    await refresh(replace(grant, scope="mail"))
    assert (file.read_bytes(), file.stat().st_ino) == was
    assert [f.get("scope") for f in provider.forms] == [None, "mail"]


async def test_a_link_to_the_file_stays_a_link(grant: RefreshGrant) -> None:
    link = grant.refresh_token_file.with_name("link")
    link.symlink_to(grant.refresh_token_file)
    answer = await refresh(replace(grant, refresh_token_file=link))
    assert link.is_symlink()
    assert link.read_text().strip() == answer["refresh_token"]


@pytest.mark.rfc("6749#3.2.1")
async def test_a_public_client_names_itself_in_the_form(
    provider: Provider, grant: RefreshGrant
) -> None:
    await refresh(replace(grant, client_id="public", client_secret=None))
    assert provider.forms[0]["client_id"] == "public"


async def test_of_many_processes_one_asks_at_a_time(
    provider: Provider, grant: RefreshGrant
) -> None:
    """A token that comes twice ends all of them: so none may."""
    await asyncio.gather(*(refresh(grant) for _ in range(8)))
    assert len({f["refresh_token"] for f in provider.forms}) == 8
    assert provider.grants


@pytest.mark.rfc("6749#5.2")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_id": "somebody"}, "invalid_client: look at client_id"),
        ({"client_secret": Secret("wrong")}, "invalid_client: look at client_id"),
    ],
)
async def test_a_client_that_is_not_known_is_told_so(
    grant: RefreshGrant, change: dict[str, object], words: str
) -> None:
    with pytest.raises(RefreshFailedError, match=words) as failure:
        await refresh(replace(grant, **change))  # type: ignore[arg-type]
    assert failure.value.is_final
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize("content", [None, "", "\n", "two\nlines", "ö", "x" * 70_000])
async def test_a_file_without_a_token_asks_nobody(
    provider: Provider, grant: RefreshGrant, content: str | None
) -> None:
    if content is None:
        grant.refresh_token_file.unlink()
    else:
        grant.refresh_token_file.write_text(content)
    with pytest.raises(RefreshFailedError, match="refresh_token_file"):
        await refresh(grant)
    assert provider.forms == []


@pytest.mark.rfc("6749#5.2")
async def test_a_token_that_was_taken_back_is_said_with_its_mend_and_asked_for_seldom(
    provider: Provider, grant: RefreshGrant
) -> None:
    clock = Clock()
    tokens = UpstreamTokens(clock)
    provider.grants.clear()
    for _ in range(3):
        with pytest.raises(TokenFailedError, match="invalid_grant: the refresh token has expired"):
            await tokens.token(grant)
        clock.now += timedelta(seconds=20)
    assert len(provider.forms) == 1
    grant.refresh_token_file.write_text(provider.grant(email="me@example.com"))
    clock.now += timedelta(seconds=1)
    assert await tokens.token(grant)


async def test_an_access_token_is_kept_renewed_and_outlives_an_outage(
    provider: Provider, grant: RefreshGrant
) -> None:
    clock = Clock()
    tokens = UpstreamTokens(clock)
    first = await tokens.token(grant)
    clock.now += timedelta(seconds=239)
    assert await tokens.token(grant) == first
    assert len(provider.forms) == 1
    provider.status = 503
    clock.now += timedelta(seconds=2)
    assert await tokens.token(grant) == first  # stale, and good for another minute
    clock.now += timedelta(seconds=60)
    with pytest.raises(TokenFailedError, match="status 503"):
        await tokens.token(grant)
    provider.status = 200
    clock.now += timedelta(seconds=10)
    second = await tokens.token(grant)
    assert second != first
    tokens.forget(grant, second)  # the next hop refused it
    assert await tokens.token(grant) != second


async def test_a_provider_that_is_not_there_is_named(
    provider: Provider, grant: RefreshGrant
) -> None:
    clock = Clock()
    tokens = UpstreamTokens(clock)
    port = provider.port
    provider.stop()
    with pytest.raises(TokenFailedError, match=rf"token endpoint http://127.0.0.1:{port}/token"):
        await tokens.token(grant)
    provider._loop = asyncio.new_event_loop()
    provider.start(port)
    clock.now += timedelta(seconds=10)
    assert await tokens.token(grant)


async def test_a_refresh_token_that_is_none_does_not_replace_the_good_one(
    provider: Provider, grant: RefreshGrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = grant.refresh_token_file.read_bytes()
    monkeypatch.setattr("tests.support.openid_provider.secrets.token_urlsafe", lambda _: "a\nb")
    with pytest.raises(RefreshFailedError, match="that is none"):
        await refresh(grant)
    assert grant.refresh_token_file.read_bytes() == was
    assert [p.name for p in grant.refresh_token_file.parent.iterdir()] == ["refresh"]


ANSWERS = [
    ({}, "sent no token"),
    ({"access_token": 5}, "sent no token"),
    ({"access_token": "a b"}, "sent no token"),
    ({"access_token": "a", "token_type": "mac"}, "not Bearer"),
]


@pytest.mark.rfc("6749#5.1")
@pytest.mark.parametrize(("answer", "words"), ANSWERS)
def test_an_answer_without_a_bearer_token_is_none(answer: dict[str, object], words: str) -> None:
    with pytest.raises(TokenFailedError, match=words):
        read_answer(answer, datetime.now(UTC))
