"""What the verbs of `gatepost account` share: the store, secrets that are read."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

from gatepost.cli import usage
from gatepost.cli.acting import by
from gatepost.cli.context import (
    NO,
    fail,
    load_place_of,
    print_json,
    run_with_store,
    say,
)

if TYPE_CHECKING:
    from gatepost.model.account import Account
    from gatepost.model.ids import CredentialId
    from gatepost.model.secret import Secret
    from gatepost.operate.accounts import By
    from gatepost.store.protocols import Store

T = TypeVar("T")

Name = Annotated[str, usage.Argument(metavar="NAME", help="What one logs in with.")]
PasswordStdin = Annotated[
    bool,
    usage.Option("--password-stdin", help="Read the password from standard input, one line."),
]
HashStdin = Annotated[
    bool,
    usage.Option(
        "--hash-stdin",
        help="Read the password's hash as another system kept it (bcrypt, SHA-crypt, argon2, "
        "{SSHA}, Dovecot's prefixes); the first login replaces it.",
    ),
]


def run(ctx: usage.Context, work: "Callable[[Store], Awaitable[T]]") -> T:
    """Do a verb's work on the store; say in words why it did nothing."""
    return answered(lambda: run_with_store(ctx, work))


def answered(ask: Callable[[], T]) -> T:
    """Return what `ask` returns; say in words why a verb did nothing."""
    from gatepost.identity.master_key import MasterKeyError  # noqa: PLC0415
    from gatepost.operate.accounts import (  # noqa: PLC0415
        AccountError,
        AccountExistsError,
        NoSuchAccountError,
    )
    from gatepost.operate.api_keys import NoSuchApiKeyError  # noqa: PLC0415
    from gatepost.operate.credentials import NoSuchCredentialError  # noqa: PLC0415
    from gatepost.operate.holds import NothingHeldError  # noqa: PLC0415
    from gatepost.operate.suppressions import NoSuchSuppressionError  # noqa: PLC0415

    try:
        return ask()
    except (
        AccountExistsError,
        NoSuchAccountError,
        NoSuchCredentialError,
        NoSuchSuppressionError,
        NothingHeldError,
        NoSuchApiKeyError,
    ) as error:
        fail(error.what, error.mend, NO)
    except AccountError as error:
        fail(error.what, error.mend)
    except MasterKeyError as error:
        fail(str(error))


async def by_node_time(ctx: usage.Context, store: "Store") -> "By":
    """Return the same for what ends after a while: by the clock of the node that looks at its end,
    which need not be this machine's of today. Raises StoreUnavailableError.
    """
    from gatepost.operate.accounts import By  # noqa: PLC0415
    from gatepost.operate.node_time import node_time  # noqa: PLC0415

    said = by()
    is_shared = load_place_of(ctx).store != "sqlite"
    return By(await node_time(store, said.now, is_shared=is_shared), said.operator)


def new_credential_id() -> "CredentialId":
    """Return an id for a new credential."""
    from gatepost.model.ids import CredentialId  # noqa: PLC0415
    from gatepost.net.clock import new_identifier  # noqa: PLC0415

    return CredentialId(new_identifier())


def read_password(*, password_stdin: bool) -> "Secret":
    """Return the password from standard input, or ask a person for it twice, also one who gives
    --password-stdin at a terminal: it would be shown there. Never shown.
    """
    from gatepost.model.secret import Secret  # noqa: PLC0415
    from gatepost.operate.accounts import prepare_password  # noqa: PLC0415

    if sys.stdin.isatty():
        secret = Secret(usage.prompt("Password", hide_input=True, confirmation_prompt=True))
    elif password_stdin:
        secret = _from_stdin()
    else:
        fail("there is no terminal to ask for the password", "give it with --password-stdin")
    answered(lambda: prepare_password(secret))
    return secret


def read_hash_line() -> "Secret":
    """Return one line of standard input."""
    return _from_stdin()


def _from_stdin() -> "Secret":
    """Return standard input. One line end belongs to echo, everything else to the secret."""
    from gatepost.model.secret import Secret  # noqa: PLC0415

    try:
        text = sys.stdin.buffer.read(64 * 1024).decode("utf-8")
    except UnicodeDecodeError:
        fail("the password is not UTF-8", "give it in UTF-8")
    line_end = "\r\n" if text.endswith("\r\n") else "\n"
    return Secret(text.removesuffix(line_end))


def print_account(account: "Account", words: str, *, json: bool) -> None:
    """Say what was done to an account."""
    if json:
        from gatepost.operate.account_shown import account_json  # noqa: PLC0415

        print_json(account_json(account))
    else:
        say(words)
