"""Who sends how much, as plain values."""

from typing import Any

from gatepost.store.counts import Sender


def sender_json(sender: Sender) -> dict[str, Any]:
    """Return one account's part for `--json` and the API."""
    return {
        "name": sender.account,
        "messages": sender.messages,
        "recipients": sender.recipients,
        "octets": sender.octets,
    }
