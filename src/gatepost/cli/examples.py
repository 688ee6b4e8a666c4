"""Commands as one would type them, shown by `--help` and in docs/reference/cli.md. Read only then."""

from collections.abc import Mapping
from typing import Final

#: By command; "…" nowhere, for each line is to be pasted. Tests read every one as the command would.
EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "init": (
        "gatepost init",
        "gatepost init /etc/gatepost --hostname relay.example.com --listen-all",
    ),
    "account add": (
        "gatepost account add app@example.com --password-stdin < password.txt",
        "gatepost account add shop@example.com --password-stdin --sender @shop.example --daily 5000 < password.txt",
        "echo '{SHA512-CRYPT}$6$…' | gatepost account add anna@example.com --hash-stdin",
    ),
    "account limit": (
        "gatepost account limit shop@example.com",
        "gatepost account limit shop@example.com --messages-per-hour 500 --recipients-per-day none",
    ),
    "account usage": (
        "gatepost account usage",
        "gatepost account usage --within '1 d' --limit 5 --json",
    ),
    "account unlock": (
        "gatepost account unlock app@example.com",
        "gatepost account unlock 192.0.2.7",
    ),
    "account app-password add": (
        "gatepost account app-password add anna@example.com --label phone --expires '90 d'",
    ),
    "domain add": (
        "gatepost domain add example.com",
        "gatepost domain add example.com --selector mail --dkim-key /etc/opendkim/keys/mail.private",
    ),
    "queue list": (
        "gatepost queue list --destination gmail.com",
        "gatepost queue list --state refused --account app@example.com --json",
    ),
    "queue count": (
        "gatepost queue count",
        "gatepost queue count --by reason --destination gmail.com",
        "gatepost queue count --by account --json",
    ),
    "queue show": (
        "gatepost queue show 01980c2e5a3f",
        "gatepost queue show 01980c2e5a3f --content > mail.eml",
    ),
    "queue hold": (
        "gatepost queue hold --account app@example.com",
        "gatepost queue hold --destination example.net",
    ),
    "queue release": ("gatepost queue release --account app@example.com",),
    "queue retry": ("gatepost queue retry --destination example.net",),
    "queue cancel": (
        "gatepost queue cancel --id 01980c2e5a3f7000",
        "gatepost queue cancel --destination dead.example --yes",
    ),
    "egress pause": ("gatepost egress pause 192.0.2.5 --reason 'on a block list'",),
    "suppression add": (
        "gatepost suppression add bob@example.com --reason 'asked by phone'",
        "gatepost suppression add @closed.example",
    ),
    "suppression import": ("gatepost suppression import list.csv --class bounced",),
    "api-key add": (
        "gatepost api-key add --scope send --account shop@example.com --label shop",
    ),
    "judge": (
        "gatepost judge --account shop --from shop@example.com --to bob@example.net message.eml",
    ),
    "trace": (
        "gatepost trace you@example.net",
        "gatepost trace '<abc@example.com>'",
        "gatepost trace 01980c2e",
    ),
    "bulk": ("gatepost bulk --days 7",),
    "probe": (
        "gatepost probe smtp.example.com",
        "gatepost probe smtp.example.com:587 --user you@example.com --password-stdin < password.txt",
    ),
    "explain": ("gatepost explain de5683c398",),
    "send": (
        "gatepost send --from app@example.com --to you@example.net --user app@example.com --password-stdin",
        "gatepost send --server mx.example.net:25 --from app@example.com --to you@example.net letter.eml",
    ),
}  # fmt: skip
