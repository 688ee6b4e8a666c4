"""A password that is given at a terminal is asked for, and not shown, whatever the options say."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from gatepost.cli import account_verbs, login_options, usage
from gatepost.model.secret import Secret


@pytest.mark.parametrize("read", [account_verbs.read_password, login_options.read_password])
@pytest.mark.parametrize("password_stdin", [True, False])
def test_a_person_is_asked_and_sees_nothing(
    monkeypatch: pytest.MonkeyPatch, read: Callable[..., Secret], password_stdin: bool
) -> None:
    def prompt(_text: str, *, hide_input: bool, **_more: object) -> str:
        assert hide_input
        return "correct horse"

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(usage, "prompt", prompt)
    assert read(password_stdin=password_stdin).reveal() == "correct horse"
