"""The tables in SQLite, by version, and the daily ones.

Live tables (delivery, content, notice) hold what is not finished and stay small. What is finished
goes to tables of a day (delivery_20260131, event_20260131), so that retention drops whole tables:
deleting millions of rows would stall everybody.

Times are microseconds since the Unix epoch, states are numbers (`rows`).
"""

from collections.abc import Sequence
from typing import Final

import apsw

from gatepost.store.schema import Version

_FIRST: Final = """
CREATE TABLE submission (
    id TEXT PRIMARY KEY, reverse_path TEXT NOT NULL, size INTEGER NOT NULL,
    received_at INTEGER NOT NULL, origin TEXT NOT NULL, account TEXT, message_id TEXT NOT NULL,
    client TEXT NOT NULL, eight_bit INTEGER NOT NULL, finished_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE content (
    submission_id TEXT PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, crc INTEGER NOT NULL, keep_until INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX content_kept ON content (keep_until) WHERE keep_until IS NOT NULL;

-- ready_at: when a worker may take it: next_attempt_at when due, the lease's end when leased,
-- NULL when held. leases is also the fence: it rises with every lease.
CREATE TABLE delivery (
    id TEXT PRIMARY KEY, submission_id TEXT NOT NULL, forward_path TEXT NOT NULL,
    destination TEXT NOT NULL, next_attempt_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    state INTEGER NOT NULL, attempts INTEGER NOT NULL, leases INTEGER NOT NULL, outcome TEXT,
    reason TEXT NOT NULL, warned INTEGER NOT NULL, ready_at INTEGER, worker TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_of_submission ON delivery (submission_id);
CREATE INDEX delivery_ready ON delivery (state, ready_at);

CREATE TABLE notice (
    delivery_id TEXT NOT NULL, is_warning INTEGER NOT NULL, submission_id TEXT NOT NULL,
    PRIMARY KEY (delivery_id, is_warning)
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_of_submission ON notice (submission_id);

CREATE TABLE account (
    name TEXT PRIMARY KEY, senders TEXT NOT NULL, created_at INTEGER NOT NULL,
    state TEXT NOT NULL, exposed_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, kind TEXT NOT NULL, verifier TEXT NOT NULL,
    created_at INTEGER NOT NULL, label TEXT NOT NULL, last_used_at INTEGER, last_mechanism TEXT,
    last_tls TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_of_account ON credential (account);

-- "event": the highest position given out; "reader/NAME": how far a reader has come.
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('event', 0);
"""

#: 2: more about credentials, and the throttle of guessing. Columns are appended in the order in
#: which `rows` reads them. guessing.failures: a JSON list of times.
_SECOND: Final = """
ALTER TABLE account ADD COLUMN salt BLOB NOT NULL DEFAULT x'';
ALTER TABLE account ADD COLUMN iterations INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN app_passwords_only INTEGER NOT NULL DEFAULT 0;

ALTER TABLE credential ADD COLUMN scram TEXT;
ALTER TABLE credential ADD COLUMN recoverable TEXT;
ALTER TABLE credential ADD COLUMN expires_at INTEGER;
ALTER TABLE credential ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE credential ADD COLUMN senders TEXT NOT NULL DEFAULT '[]';
CREATE INDEX credential_certificate ON credential (verifier) WHERE kind = 'certificate';

CREATE TABLE guessing (
    subject TEXT PRIMARY KEY, failures TEXT NOT NULL, locks INTEGER NOT NULL,
    locked_until INTEGER NOT NULL, changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX guessing_changed ON guessing (changed_at);
"""

#: 3: domains that we send for, and their keys; private_key is sealed under the master key.
_THIRD: Final = """
CREATE TABLE domain (
    name TEXT PRIMARY KEY, created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE dkim_key (
    domain TEXT NOT NULL, selector TEXT NOT NULL, algorithm TEXT NOT NULL,
    private_key TEXT NOT NULL, public_key BLOB NOT NULL, state TEXT NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (domain, selector)
) STRICT, WITHOUT ROWID;
"""

#: 4: the last use of what is proven by somebody else's word.
_FOURTH: Final = """
CREATE TABLE foreign_use (
    account TEXT NOT NULL, proof TEXT NOT NULL, at INTEGER NOT NULL, mechanism TEXT NOT NULL,
    tls TEXT NOT NULL, PRIMARY KEY (account, proof)
) STRICT, WITHOUT ROWID;
"""

#: 5: whom an account may write to, grants in a JSON list; none: anybody.
_FIFTH: Final = """
ALTER TABLE account ADD COLUMN recipients TEXT NOT NULL DEFAULT '[]';
"""

#: 6: quotas. limits: a JSON list of (unit, window, most); counts: see `quota_table`.
_SIXTH: Final = """
ALTER TABLE account ADD COLUMN limits TEXT NOT NULL DEFAULT '[]';
ALTER TABLE credential ADD COLUMN limits TEXT NOT NULL DEFAULT '[]';

CREATE TABLE quota (
    subject TEXT PRIMARY KEY, counts BLOB NOT NULL, warned BLOB NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_changed ON quota (changed_at);

CREATE TABLE quota_lease (
    subject TEXT NOT NULL, worker TEXT NOT NULL, messages INTEGER NOT NULL,
    recipients INTEGER NOT NULL, until INTEGER NOT NULL, recalled INTEGER NOT NULL,
    PRIMARY KEY (subject, worker)
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_recalled ON quota_lease (worker) WHERE recalled = 1;
"""

#: 7: whom we no longer send to; '' as account: for all. Numbers rise, so that workers need to read
#: only what is new. And what accounts want of it.
_SUPPRESSIONS: Final = """
CREATE TABLE suppression (
    number INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, account TEXT NOT NULL,
    stream TEXT NOT NULL, class TEXT NOT NULL, since INTEGER NOT NULL, reason TEXT NOT NULL,
    UNIQUE (subject, account, stream)
) STRICT;
CREATE INDEX suppression_of_account ON suppression (account) WHERE account <> '';

CREATE TABLE account_rule (
    account TEXT PRIMARY KEY, drops INTEGER NOT NULL, stream TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

#: 8: looks at sending domains (findings: JSON lists; published: selectors), and since when keys
#: are retired.
_LOOKS: Final = """
CREATE TABLE domain_look (
    domain TEXT PRIMARY KEY, claimed_until INTEGER NOT NULL, looked_at INTEGER, health TEXT,
    since INTEGER, findings TEXT, published TEXT
) STRICT, WITHOUT ROWID;
ALTER TABLE dkim_key ADD COLUMN retired_at INTEGER;
"""

#: 9: recipients at large providers, by UTC day and organisational domain.
_BULK: Final = """
CREATE TABLE bulk (
    day TEXT NOT NULL, provider TEXT NOT NULL, domain TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, provider, domain)
) STRICT, WITHOUT ROWID;
"""

#: 10: idempotency keys of submissions.
_KEPT_KEYS: Final = """
CREATE TABLE kept_key (
    account TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, submission_id TEXT NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (account, key)
) STRICT;
CREATE INDEX kept_key_age ON kept_key (at);
"""

#: 11: domains that accounts asked for, and what proves that they may.
_CLAIMS: Final = """
ALTER TABLE domain ADD COLUMN unproven INTEGER NOT NULL DEFAULT 0;

CREATE TABLE domain_claim (
    domain TEXT NOT NULL, account TEXT NOT NULL, token TEXT NOT NULL, created_at INTEGER NOT NULL,
    proven_at INTEGER, PRIMARY KEY (domain, account)
) STRICT, WITHOUT ROWID;
"""

#: 12: lanes, and what senders wish to hear. notify: NULL where nothing was said (RFC 3461 §4.1);
#: notice.kind: see `rows`.
_LANES: Final = """
ALTER TABLE submission ADD COLUMN ret TEXT;
ALTER TABLE submission ADD COLUMN envid TEXT NOT NULL DEFAULT '';
ALTER TABLE submission ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE submission ADD COLUMN hold TEXT NOT NULL DEFAULT '';
ALTER TABLE submission ADD COLUMN release_at INTEGER;

ALTER TABLE delivery ADD COLUMN lane INTEGER NOT NULL DEFAULT 1;
ALTER TABLE delivery ADD COLUMN notify INTEGER;
ALTER TABLE delivery ADD COLUMN orcpt TEXT NOT NULL DEFAULT '';
DROP INDEX delivery_ready;
CREATE INDEX delivery_ready ON delivery (state, lane, ready_at);

ALTER TABLE notice RENAME COLUMN is_warning TO kind;
ALTER TABLE account ADD COLUMN lane TEXT;
ALTER TABLE credential ADD COLUMN lane TEXT;
"""
_LANES_DAILY: Final = """
ALTER TABLE {table} ADD COLUMN lane INTEGER NOT NULL DEFAULT 1;
ALTER TABLE {table} ADD COLUMN notify INTEGER;
ALTER TABLE {table} ADD COLUMN orcpt TEXT NOT NULL DEFAULT '';
"""

#: 13: what credentials usually do, and which are held; with which credential a message came.
_HISTORIES: Final = """
ALTER TABLE submission ADD COLUMN credential TEXT;

CREATE TABLE history (
    credential TEXT PRIMARY KEY, account TEXT NOT NULL, first_at INTEGER NOT NULL,
    counts TEXT NOT NULL, held_at INTEGER, held_because TEXT NOT NULL, changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX history_held ON history (account) WHERE held_at IS NOT NULL;
CREATE INDEX history_changed ON history (changed_at);
"""

#: 14: keys of the HTTP API; scopes: a JSON list.
_API_KEYS: Final = """
CREATE TABLE api_key (
    id TEXT PRIMARY KEY, verifier TEXT NOT NULL, scopes TEXT NOT NULL, created_at INTEGER NOT NULL,
    account TEXT, label TEXT NOT NULL, expires_at INTEGER, last_used_at INTEGER
) STRICT, WITHOUT ROWID;
"""

#: 15: whether an account's mail gets links to unsubscribe from its stream.
_LINKS: Final = """
ALTER TABLE account_rule ADD COLUMN links INTEGER NOT NULL DEFAULT 0;
"""

#: 16: what the schema says of itself (`store.schema`), in versions: "oldest" and "tidied".
_MARKS: Final = """
CREATE TABLE schema_mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""

#: 17: limits of API keys, as those of credentials.
_KEY_LIMITS: Final = """
ALTER TABLE api_key ADD COLUMN limits TEXT NOT NULL DEFAULT '[]';
"""

#: 18: which workers are there. ahead: microseconds; addresses: a JSON list.
_PRESENCES: Final = """
CREATE TABLE presence (
    worker TEXT PRIMARY KEY, node TEXT NOT NULL, home TEXT NOT NULL, version TEXT NOT NULL,
    addresses TEXT NOT NULL, since INTEGER NOT NULL, heard_at INTEGER NOT NULL,
    ahead INTEGER NOT NULL, lost INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

#: 19: what an account has stored for later.
_LATER: Final = """
CREATE INDEX submission_later ON submission (account, release_at) WHERE release_at IS NOT NULL;
"""

#: 20: since when an account's proof is not there any more; what is done while a domain's key is not
#: published, where it differs from the settings.
_PROOFS: Final = """
ALTER TABLE domain_claim ADD COLUMN missing_since INTEGER;
ALTER TABLE domain ADD COLUMN unpublished TEXT;
"""

#: 21: what is due, by destination (`destinations`). New mail that is handed over is not in it.
_DESTINATIONS: Final = """
CREATE INDEX delivery_due ON delivery (lane, destination, ready_at) WHERE state = 0;
"""

#: 22: pools of source addresses. delivery.pool: "" for none; presence.sources: a JSON list. The
#: indexes that have the pool in them come in place of those without, which older programs name.
_EGRESS: Final = """
ALTER TABLE delivery ADD COLUMN pool TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_next ON delivery (state, lane, pool, ready_at);
CREATE INDEX delivery_next_of ON delivery (lane, pool, destination, ready_at) WHERE state = 0;
ALTER TABLE account ADD COLUMN pool TEXT;
ALTER TABLE presence ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';

CREATE TABLE egress_pause (
    address TEXT PRIMARY KEY, since INTEGER NOT NULL, paused_by TEXT NOT NULL, reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
_WITHOUT_POOL: Final = ("DROP INDEX IF EXISTS delivery_ready", "DROP INDEX IF EXISTS delivery_due")

#: 23: the secret came in clear, and was right.
_EXPOSED: Final = """
ALTER TABLE credential ADD COLUMN exposed_at INTEGER;
"""

#: 24: whose turn it is (`turns`). delivery.account: "" for none; what older programs have queued is of none.
#: Of mail that is handed over nothing is in these indexes.
_TURNS: Final = """
ALTER TABLE delivery ADD COLUMN account TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_of_account ON delivery (lane, pool, account, ready_at) WHERE state = 0;
CREATE INDEX delivery_turn ON delivery (lane, pool, account, destination, ready_at) WHERE state = 0;
"""
_WITHOUT_ACCOUNT: Final = ("DROP INDEX IF EXISTS delivery_next_of",)

#: 25: how far a segment's contents are told of by rows, and up to where events are synced (ADR 34).
_SEGMENT_LOG: Final = """
CREATE TABLE segment_log (segment TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter SELECT 'settled', value FROM counter WHERE name = 'event';
"""

#: A new version is appended; a released one is never edited.
VERSIONS: Final[Sequence[Version]] = (
    Version(_FIRST),
    Version(_SECOND),
    Version(_THIRD),
    Version(_FOURTH),
    Version(_FIFTH),
    Version(_SIXTH),
    Version(_SUPPRESSIONS),
    Version(_LOOKS),
    Version(_BULK),
    Version(_KEPT_KEYS),
    Version(_CLAIMS),
    Version(_LANES, daily=_LANES_DAILY, breaks=True),
    Version(_HISTORIES),
    Version(_API_KEYS),
    Version(_LINKS),
    # Programs before it wrote whole rows without naming columns.
    Version(_MARKS, breaks=True),
    Version(_KEY_LIMITS),
    Version(_PRESENCES),
    Version(_LATER),
    Version(_PROOFS),
    Version(_DESTINATIONS),
    Version(_EGRESS, post=_WITHOUT_POOL),
    Version(_EXPOSED),
    Version(_TURNS, post=_WITHOUT_ACCOUNT),
    Version(_SEGMENT_LOG),
)

_DAILY_DELIVERY: Final = """
CREATE TABLE IF NOT EXISTS delivery_{day} (
    id TEXT PRIMARY KEY, submission_id TEXT NOT NULL, forward_path TEXT NOT NULL,
    destination TEXT NOT NULL, next_attempt_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    state INTEGER NOT NULL, attempts INTEGER NOT NULL, leases INTEGER NOT NULL, outcome TEXT,
    reason TEXT NOT NULL, warned INTEGER NOT NULL, lane INTEGER NOT NULL, notify INTEGER,
    orcpt TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_{day}_of_submission ON delivery_{day} (submission_id);
CREATE INDEX IF NOT EXISTS delivery_{day}_captured ON delivery_{day} (id) WHERE state = 4;
"""
_DAILY_EVENT: Final = """
CREATE TABLE IF NOT EXISTS event_{day} (
    position INTEGER PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, submission_id TEXT,
    delivery_id TEXT, account TEXT, facts TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS event_{day}_of_submission ON event_{day} (submission_id)
    WHERE submission_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_{day}_refused_login ON event_{day} (facts ->> 'tag')
    WHERE kind = 'login.refused';
CREATE INDEX IF NOT EXISTS event_{day}_refused_account ON event_{day} (account)
    WHERE kind = 'login.refused';
"""
_DAILY: Final = {"delivery": _DAILY_DELIVERY, "event": _DAILY_EVENT}
#: Bound to "KIND_" and "KIND`" (the character behind "_"); oldest first.
DAY_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name > ? AND name < ? ORDER BY name"
)


def make_day_table(connection: apsw.Connection, kind: str, day: str) -> None:
    """Make a daily table ("delivery" or "event") if it is not there."""
    connection.execute(_DAILY[kind].format(day=day))
