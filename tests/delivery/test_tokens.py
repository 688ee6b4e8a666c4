"""Tokens for upstream logins: what a command prints, how long it is kept, what a failure says."""

import asyncio
import base64
import contextlib
import json
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.delivery.tokens import TokenFailedError, UpstreamTokens, read_token
from gatepost.model.route import TokenCommand

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def jwt(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


PRINTED = [  # what the command printed -> the token, and how long it may be used
    ("abc.def-_~+/=\n", "abc.def-_~+/=", timedelta(minutes=5)),
    ('{"access_token": "t", "expires_in": 3600}', "t", timedelta(minutes=59)),
    ('{"access_token": "t", "expires_in": "3600"}', "t", timedelta(minutes=59)),
    ('{"access_token": "t", "expires_in": 60}', "t", timedelta(seconds=30)),
    ('{"access_token": "t"}', "t", timedelta(minutes=5)),
    (jwt(exp=NOON.timestamp() + 600), None, timedelta(minutes=9)),
    (jwt(exp="never"), None, timedelta(minutes=5)),
]


@pytest.mark.parametrize(("printed", "text", "life"), PRINTED)
def test_a_token_is_read_with_its_end(printed: str, text: str | None, life: timedelta) -> None:
    token = read_token(printed.encode(), NOON)
    assert token.text == (text or printed)
    assert token.stale_at == NOON + life


@pytest.mark.parametrize("printed", ["", "two words", "{}", '{"error": "denied"}', "a\r\nb", "é"])
def test_what_is_no_token_is_refused_without_being_shown(printed: str) -> None:
    with pytest.raises(TokenFailedError) as failure:
        read_token(printed.encode(), NOON)
    assert printed == "" or printed not in str(failure.value)


@given(st.binary(max_size=200))
def test_garbage_is_a_token_or_a_failure(printed: bytes) -> None:
    with contextlib.suppress(TokenFailedError):
        assert read_token(printed, NOON).text


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def command(tmp_path: Path) -> TokenCommand:
    """Print "token1", "token2" … at each run."""
    script = tmp_path / "token.py"
    script.write_text(
        f"import pathlib\np = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "n = int(p.read_text()) + 1 if p.exists() else 1\np.write_text(str(n))\n"
        "print(f'token{n}')\n"
    )
    return TokenCommand(shlex.join([sys.executable, str(script)]))


async def test_a_token_is_kept_until_it_is_stale(clock: Clock, command: TokenCommand) -> None:
    tokens = UpstreamTokens(clock)
    assert await asyncio.gather(*(tokens.token(command) for _ in range(5))) == ["token1"] * 5
    clock.now += timedelta(minutes=4)
    assert await tokens.token(command) == "token1"
    clock.now += timedelta(minutes=1)
    assert await tokens.token(command) == "token2"


async def test_a_refused_token_is_fetched_anew(clock: Clock, command: TokenCommand) -> None:
    tokens = UpstreamTokens(clock)
    tokens.forget(command, await tokens.token(command))
    assert await tokens.token(command) == "token2"
    tokens.forget(command, "token1")  # an old one: the present one stays
    assert await tokens.token(command) == "token2"


FAILING = [
    ("no-such-program-here", "cannot be run"),
    (shlex.join([sys.executable, "-c", "print('s3cret'); raise SystemExit(3)"]), "status 3"),
    (shlex.join([sys.executable, "-c", "print('x' * 100000)"]), "more than a token"),
    ("'unbalanced", "cannot be run"),
]


@pytest.mark.parametrize(("failing", "words"), FAILING)
async def test_a_command_that_fails_says_how_and_never_what_it_printed(
    clock: Clock, failing: str, words: str
) -> None:
    with pytest.raises(TokenFailedError, match=words) as failure:
        await UpstreamTokens(clock).token(TokenCommand(failing))
    assert "s3cret" not in str(failure.value)


async def test_after_a_failure_the_command_rests(clock: Clock, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"import pathlib; assert pathlib.Path({str(flag)!r}).exists(); print('t')"
    command = TokenCommand(shlex.join([sys.executable, "-c", code]))
    tokens = UpstreamTokens(clock)
    with pytest.raises(TokenFailedError):
        await tokens.token(command)
    flag.touch()
    with pytest.raises(TokenFailedError):
        await tokens.token(command)
    clock.now += timedelta(seconds=10)
    assert await tokens.token(command) == "t"
