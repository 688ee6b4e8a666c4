"""An account on a terminal: its credentials, their use, refused logins, findings."""

from gatepost.cli.context import say
from gatepost.model.account import Account, Credential
from gatepost.model.spender import words_for
from gatepost.operate.account_shown import Guest, Holder, Refusals
from gatepost.operate.limits import Limited
from gatepost.store.account_protocols import UnreadAccount
from gatepost.store.foreign_uses import ForeignUse


def account_line(account: Account | UnreadAccount) -> tuple[str, str, str]:
    """Return an account's line in the list of all: its name, its state, what it may send as."""
    if isinstance(account, UnreadAccount):
        return account.name, account.state, f"nothing here: {account.why}"
    return account.name, account.state.value, ", ".join(account.senders)


def print_holder(holder: Holder | Guest | UnreadAccount) -> None:
    """Print an account, or what is known of one that is a directory's or a newer Gatepost's."""
    if not isinstance(holder, Holder):
        _print_others(holder)
        return
    account, refusals = holder.account, holder.refusals
    say(f"name         {account.name}")
    say(f"state        {account.state.value}")
    say(f"may send as  {', '.join(account.senders)}")
    if account.recipients:
        say(f"may write to {', '.join(account.recipients)}")
    if account.lane:
        say(f"lane         {account.lane.value}")
    if account.pool:
        say(f"pool         {account.pool}")
    say(f"added        {account.created_at:%Y-%m-%d %H:%M:%S} UTC")
    if account.app_passwords_only:
        say("logs in      with app passwords only")
    for credential in holder.credentials:
        _print_credential(credential, refusals.with_right.get(credential.id, 0))
    for unread in holder.unread:
        label = f' "{unread.label}"' if unread.label else ""
        say(f"{unread.kind:<12}{label} cannot be checked here: {unread.why}")
    _print_uses(holder.uses)
    for held in holder.holds:
        since = f"{held.hold.at:%Y-%m-%d %H:%M:%S} UTC"
        say(f'held         "{held.label}" since {since}: {held.hold.because}')
        say(f'             all is well? "gatepost account release {account.name}"; else revoke it')
    print_limits(holder.limits)
    _print_refusals(refusals)
    for finding in holder.findings:
        say(f"finding      {finding.what}: {finding.mend}")


def _print_others(found: Guest | UnreadAccount) -> None:
    say(f"name         {found.name}")
    if isinstance(found, UnreadAccount):
        say(f"state        {found.state}")
        say(f"unread       {found.why}")
        say("             until this Gatepost is updated, it logs in only where a newer one serves")
        return
    say("kept         by a directory, not here; it has logged in")
    _print_uses(found.uses)
    _print_refusals(found.refusals)


def print_limits(limits: tuple[Limited, ...]) -> None:
    """Print how much was sent of what may be, and when a spent limit opens again."""
    for number, each in enumerate(limits):
        use = each.use
        whose = f' with "{words_for(each.spender)}"' if each.spender else ""
        opens = ""
        if use.left <= 0:
            opens = (
                f", opens at {use.opens_at:%Y-%m-%d %H:%M:%S} UTC" if use.opens_at else ", closed"
            )
        say(f"{'' if number else 'sent':<12} {use.words}{whose}{opens}")


def _print_uses(uses: tuple[ForeignUse, ...]) -> None:
    for use in uses:
        _, _, directory = use.proof.partition("/")
        what = f'directory "{directory}"' if directory else "token"
        last = f"last used {use.at:%Y-%m-%d %H:%M:%S} UTC by {use.mechanism}, {use.tls or 'no TLS'}"
        say(f"{what:<12} {last}")


def _print_refusals(refusals: Refusals) -> None:
    if refusals.last_at:
        say(f"refused      {refusals.count} in 7 days, last {refusals.last_at:%Y-%m-%d %H:%M} UTC:")
        say(f"             {refusals.last_reason} [{refusals.last_tag}]")


def _print_credential(credential: Credential, refused: int) -> None:
    used = credential.last_used_at
    how = f" by {credential.last_mechanism}, {credential.last_tls or 'no TLS'}"
    last = f"last used {used:%Y-%m-%d %H:%M:%S} UTC{how}" if used else "no use recorded"
    label = f' "{credential.label}"' if credential.label else ""
    say(f"{credential.kind.value:<12}{label} set {credential.created_at:%Y-%m-%d}, {last}")
    limits = []
    if credential.expires_at:
        limits.append(f"until {credential.expires_at:%Y-%m-%d %H:%M} UTC")
    if credential.networks:
        limits.append(f"from {', '.join(credential.networks)}")
    if credential.senders:
        limits.append(f"as {', '.join(credential.senders)}")
    if credential.lane:
        limits.append(f"in lane {credential.lane.value}")
    if limits:
        say(f"             good {'; '.join(limits)}")
    if refused:
        say(f"             right, but not good here or then: {refused} times in 7 days")
