"""`gatepost account certificate`: TLS client certificates that log in by EXTERNAL."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.account_app_password import credentials_of, revoke_credential
from gatepost.cli.account_verbs import Name, new_credential_id, run
from gatepost.cli.acting import by
from gatepost.cli.context import Json, fail, print_json, print_table, say

if TYPE_CHECKING:
    from gatepost.model.account import Credential
    from gatepost.store.protocols import Store

app: Final = usage.Commands(
    help="TLS client certificates that log in by EXTERNAL, where client_certificates = true.",
)

#: More than any certificate.
_LARGEST: Final = 1 << 20


@app.command()
def add(
    ctx: usage.Context,
    name: Name,
    file: Annotated[Path, usage.Argument(metavar="FILE", help="The certificate, PEM or DER.")],
    label: Annotated[
        str, usage.Option("--label", metavar="L", help="What it is for; else its subject.")
    ] = "",
    json: Json = False,
) -> None:
    """Register a client certificate; whoever has its key logs in as NAME."""
    try:
        with file.open("rb") as opened:
            octets = opened.read(_LARGEST)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", "name a certificate, PEM or DER")

    async def work(store: "Store") -> "Credential":
        from gatepost.operate.credentials import add_certificate  # noqa: PLC0415

        return await add_certificate(
            store, name, octets, label=label, credential_id=new_credential_id(), by=by()
        )

    made = run(ctx, work)
    if json:
        from gatepost.operate.account_shown import credential_json  # noqa: PLC0415

        print_json(credential_json(made) | {"account": made.account})
    else:
        say(f'registered: "{made.label}" for {made.account}, {made.verifier.reveal()}')


@app.command("list")
def list_(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """List an account's client certificates."""
    from gatepost.model.account import CredentialKind  # noqa: PLC0415

    found = credentials_of(ctx, name, CredentialKind.CERTIFICATE.value)
    if json:
        from gatepost.operate.account_shown import credential_json  # noqa: PLC0415

        print_json([credential_json(c) for c in found])
        return
    rows = [
        (
            c.label,
            f"{c.expires_at:%Y-%m-%d}" if c.expires_at else "",
            f"{c.last_used_at:%Y-%m-%d %H:%M}" if c.last_used_at else "",
            c.verifier.reveal(),
        )
        for c in found
    ]
    columns = ("LABEL", "EXPIRES", "LAST USED", "FINGERPRINT")
    print_table(columns, rows, empty="No client certificates.")


@app.command()
def revoke(
    ctx: usage.Context,
    name: Name,
    which: Annotated[
        str, usage.Argument(metavar="LABEL|FINGERPRINT", help="Its label, fingerprint or id.")
    ],
    json: Json = False,
) -> None:
    """Revoke a client certificate; sessions that logged in with it send no more mail."""
    from gatepost.model.account import CredentialKind  # noqa: PLC0415

    revoke_credential(ctx, name, which, CredentialKind.CERTIFICATE.value, json=json)
