"""The tables in PostgreSQL, by version, and the daily ones (the same as SQLite's: `sqlite_schema`).

Live tables (delivery, content, notice) hold what is not finished; what is finished goes to tables
of a day, so that retention drops whole tables and leaves no dead rows behind. Hot tables are cleaned
by autovacuum early and often, and their pages keep room, so that an update stays on its page.

Times are microseconds since the Unix epoch, states are numbers (`rows`). Texts compare by octets.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from gatepost.store.schema import Version

#: offset of positions: see `postgresql_pending`.
_FIRST: Final = """
CREATE TABLE schema_mark (name TEXT PRIMARY KEY, value BIGINT NOT NULL);

CREATE TABLE submission (
    id TEXT PRIMARY KEY, reverse_path TEXT NOT NULL, size BIGINT NOT NULL,
    received_at BIGINT NOT NULL, origin TEXT NOT NULL, account TEXT, message_id TEXT NOT NULL,
    client TEXT NOT NULL, eight_bit SMALLINT NOT NULL, ret TEXT, envid TEXT NOT NULL,
    priority SMALLINT NOT NULL, hold TEXT NOT NULL, release_at BIGINT, credential TEXT,
    finished_at BIGINT
) WITH (fillfactor = 85);
CREATE INDEX submission_message_id ON submission (message_id);

-- octets: the beginning of the content, or all of it; what follows is in content_more.
CREATE TABLE content (
    submission_id TEXT PRIMARY KEY, length BIGINT NOT NULL, crc BIGINT NOT NULL,
    pieces INTEGER NOT NULL, keep_until BIGINT, octets BYTEA NOT NULL
);
CREATE INDEX content_kept ON content (keep_until) WHERE keep_until IS NOT NULL;
CREATE TABLE content_more (
    submission_id TEXT NOT NULL, number INTEGER NOT NULL, octets BYTEA NOT NULL,
    PRIMARY KEY (submission_id, number)
);
-- Mail is compressed badly or not at all, and at our cost.
ALTER TABLE content ALTER COLUMN octets SET STORAGE EXTERNAL;
ALTER TABLE content_more ALTER COLUMN octets SET STORAGE EXTERNAL;

-- ready_at: when a worker may take it: next_attempt_at when due, the lease's end when leased,
-- NULL when held. leases is also the fence: it rises with every lease.
CREATE TABLE delivery (
    id TEXT PRIMARY KEY, submission_id TEXT NOT NULL, forward_path TEXT NOT NULL,
    destination TEXT NOT NULL, next_attempt_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,
    state SMALLINT NOT NULL, attempts INTEGER NOT NULL, leases INTEGER NOT NULL, outcome TEXT,
    reason TEXT NOT NULL, warned SMALLINT NOT NULL, lane SMALLINT NOT NULL, notify SMALLINT,
    orcpt TEXT NOT NULL, ready_at BIGINT, worker TEXT
) WITH (fillfactor = 70);
CREATE INDEX delivery_of_submission ON delivery (submission_id);
CREATE INDEX delivery_ready ON delivery (state, lane, ready_at);

CREATE TABLE notice (
    delivery_id TEXT NOT NULL, kind SMALLINT NOT NULL, submission_id TEXT NOT NULL,
    PRIMARY KEY (delivery_id, kind)
);
CREATE INDEX notice_of_submission ON notice (submission_id);

CREATE TABLE account (
    name TEXT PRIMARY KEY, senders TEXT NOT NULL, created_at BIGINT NOT NULL,
    state TEXT NOT NULL, exposed_at BIGINT, salt BYTEA NOT NULL, iterations BIGINT NOT NULL,
    app_passwords_only SMALLINT NOT NULL, recipients TEXT NOT NULL, limits TEXT NOT NULL, lane TEXT
);
CREATE TABLE credential (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, kind TEXT NOT NULL, verifier TEXT NOT NULL,
    created_at BIGINT NOT NULL, label TEXT NOT NULL, last_used_at BIGINT, last_mechanism TEXT,
    last_tls TEXT, scram TEXT, recoverable TEXT, expires_at BIGINT, networks TEXT NOT NULL,
    senders TEXT NOT NULL, limits TEXT NOT NULL, lane TEXT
) WITH (fillfactor = 70);
CREATE INDEX credential_of_account ON credential (account);
CREATE INDEX credential_certificate ON credential (verifier) WHERE kind = 'certificate';

CREATE TABLE guessing (
    subject TEXT PRIMARY KEY, failures TEXT NOT NULL, locks BIGINT NOT NULL,
    locked_until BIGINT NOT NULL, changed_at BIGINT NOT NULL
);
CREATE INDEX guessing_changed ON guessing (changed_at);

CREATE TABLE domain (
    name TEXT PRIMARY KEY, created_at BIGINT NOT NULL, unproven SMALLINT NOT NULL
);
CREATE TABLE dkim_key (
    domain TEXT NOT NULL, selector TEXT NOT NULL, algorithm TEXT NOT NULL,
    private_key TEXT NOT NULL, public_key BYTEA NOT NULL, state TEXT NOT NULL,
    created_at BIGINT NOT NULL, retired_at BIGINT, PRIMARY KEY (domain, selector)
);
CREATE TABLE domain_look (
    domain TEXT PRIMARY KEY, claimed_until BIGINT NOT NULL, looked_at BIGINT, health TEXT,
    since BIGINT, findings TEXT, published TEXT
);
CREATE TABLE domain_claim (
    domain TEXT NOT NULL, account TEXT NOT NULL, token TEXT NOT NULL, created_at BIGINT NOT NULL,
    proven_at BIGINT, PRIMARY KEY (domain, account)
);
CREATE TABLE foreign_use (
    account TEXT NOT NULL, proof TEXT NOT NULL, at BIGINT NOT NULL, mechanism TEXT NOT NULL,
    tls TEXT NOT NULL, PRIMARY KEY (account, proof)
);

CREATE TABLE quota (
    subject TEXT PRIMARY KEY, counts BYTEA NOT NULL, warned BYTEA NOT NULL,
    changed_at BIGINT NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX quota_changed ON quota (changed_at);
-- Mostly zeros: compressed it stays in its row.
ALTER TABLE quota ALTER COLUMN counts SET STORAGE MAIN;
CREATE TABLE quota_lease (
    subject TEXT NOT NULL, worker TEXT NOT NULL, messages BIGINT NOT NULL,
    recipients BIGINT NOT NULL, until BIGINT NOT NULL, recalled SMALLINT NOT NULL,
    PRIMARY KEY (subject, worker)
) WITH (fillfactor = 50);
CREATE INDEX quota_recalled ON quota_lease (worker) WHERE recalled = 1;

CREATE TABLE suppression (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject TEXT NOT NULL,
    account TEXT NOT NULL, stream TEXT NOT NULL, class TEXT NOT NULL, since BIGINT NOT NULL,
    reason TEXT NOT NULL, UNIQUE (subject, account, stream)
);
CREATE INDEX suppression_of_account ON suppression (account) WHERE account <> '';
CREATE TABLE account_rule (
    account TEXT PRIMARY KEY, drops SMALLINT NOT NULL, stream TEXT NOT NULL,
    links SMALLINT NOT NULL
);

CREATE TABLE bulk (
    day TEXT NOT NULL, provider TEXT NOT NULL, domain TEXT NOT NULL, count BIGINT NOT NULL,
    PRIMARY KEY (day, provider, domain)
) WITH (fillfactor = 70);
CREATE TABLE kept_key (
    account TEXT NOT NULL, key TEXT NOT NULL, digest BYTEA NOT NULL, submission_id TEXT NOT NULL,
    at BIGINT NOT NULL, PRIMARY KEY (account, key)
);
CREATE INDEX kept_key_age ON kept_key (at);
CREATE TABLE history (
    credential TEXT PRIMARY KEY, account TEXT NOT NULL, first_at BIGINT NOT NULL,
    counts TEXT NOT NULL, held_at BIGINT, held_because TEXT NOT NULL, changed_at BIGINT NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX history_held ON history (account) WHERE held_at IS NOT NULL;
CREATE INDEX history_changed ON history (changed_at);
CREATE TABLE api_key (
    id TEXT PRIMARY KEY, verifier TEXT NOT NULL, scopes TEXT NOT NULL, created_at BIGINT NOT NULL,
    account TEXT, label TEXT NOT NULL, expires_at BIGINT, last_used_at BIGINT,
    limits TEXT NOT NULL
);

-- "event": what is added to each position; "news": rises with what others are told of;
-- "reader/NAME": how far a reader has come.
CREATE TABLE counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL) WITH (fillfactor = 10);
INSERT INTO counter VALUES ('event', 0), ('news', 0);
"""
_HOT: Final = (
    "submission",
    "content",
    "content_more",
    "delivery",
    "notice",
    "quota",
    "quota_lease",
    "counter",
    "history",
    "kept_key",
)
#: A fiftieth of a hot table, and its TOAST, may be dead before it is cleaned; without pauses.
_VACUUM: Final = "".join(
    f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02,"
    " autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,"
    " toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_threshold = 1000,"
    " toast.autovacuum_vacuum_cost_delay = 0);\n"
    if table in {"content", "content_more", "quota", "history", "submission", "delivery"}
    else f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02,"
    " autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);\n"
    for table in _HOT
)


def _by_octets(script: str) -> str:
    return script.replace(" TEXT", ' TEXT COLLATE "C"')


#: 2: which workers are there. ahead: microseconds; addresses: a JSON list.
_PRESENCES: Final = """
CREATE TABLE presence (
    worker TEXT PRIMARY KEY, node TEXT NOT NULL, home TEXT NOT NULL, version TEXT NOT NULL,
    addresses TEXT NOT NULL, since BIGINT NOT NULL, heard_at BIGINT NOT NULL,
    ahead BIGINT NOT NULL, lost SMALLINT NOT NULL
) WITH (fillfactor = 50);
"""

#: What an account has stored for later.
_LATER: Final = """
CREATE INDEX submission_later ON submission (account, release_at) WHERE release_at IS NOT NULL;
"""

#: Since when an account's proof is not there any more; what is done while a domain's key is not
#: published, where it differs from the settings.
_PROOFS: Final = """
ALTER TABLE domain_claim ADD COLUMN missing_since BIGINT;
ALTER TABLE domain ADD COLUMN unpublished TEXT COLLATE "C";
"""

#: What is due, by destination (`destinations`). New mail that is handed over is not in it.
_DESTINATIONS: Final = """
CREATE INDEX delivery_due ON delivery (lane, destination, ready_at) WHERE state = 0;
"""

#: Pools of source addresses. delivery.pool: "" for none; presence.sources: a JSON list. Older
#: programs name no index, so those without the pool may go at once.
_EGRESS: Final = """
ALTER TABLE delivery ADD COLUMN pool TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_next ON delivery (state, lane, pool, ready_at);
CREATE INDEX delivery_next_of ON delivery (lane, pool, destination, ready_at) WHERE state = 0;
DROP INDEX delivery_ready;
DROP INDEX delivery_due;
ALTER TABLE account ADD COLUMN pool TEXT;
ALTER TABLE presence ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';

CREATE TABLE egress_pause (
    address TEXT PRIMARY KEY, since BIGINT NOT NULL, paused_by TEXT NOT NULL, reason TEXT NOT NULL
);
"""

#: How many versions a worker's program knows; NULL: one that does not tell, so 6 at most.
_KNOWS: Final = """
ALTER TABLE presence ADD COLUMN knows BIGINT;
"""

#: The secret came in clear, and was right.
_EXPOSED: Final = """
ALTER TABLE credential ADD COLUMN exposed_at BIGINT;
"""

#: A page of new deliveries has room for a second row of each: counting their attempts touches no index.
_ROOM: Final = """
ALTER TABLE delivery SET (fillfactor = 50);
"""

#: Whose turn it is (`turns`). delivery.account: "" for none; what older programs have queued is of none. Each index
#: has the lane in a form of its own, so that no question that means one of them can go through another.
_TURNS: Final = """
ALTER TABLE delivery ADD COLUMN account TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_of_account ON delivery ((+lane), pool, account, ready_at) WHERE state = 0;
CREATE INDEX delivery_turn ON delivery (abs(lane), pool, account, destination, ready_at) WHERE state = 0;
"""
#: Mail waits behind it no longer than a second: where somebody reads for long, it is tried again later.
_WITHOUT_ACCOUNT: Final = (
    "DO $$BEGIN SET LOCAL lock_timeout = '1s'; DROP INDEX IF EXISTS delivery_next_of; END$$",
)

#: A new version is appended; a released one is never edited.
VERSIONS: Final[Sequence[Version]] = (
    Version(_by_octets(_FIRST) + _VACUUM),
    Version(_by_octets(_PRESENCES)),
    Version(_LATER),
    Version(_PROOFS),
    Version(_DESTINATIONS),
    Version(_by_octets(_EGRESS)),
    Version(_KNOWS),
    Version(_EXPOSED),
    Version(_ROOM),
    Version(_by_octets(_TURNS), post=_WITHOUT_ACCOUNT),
)

_DAILY_DELIVERY: Final = """
CREATE TABLE IF NOT EXISTS delivery_{day} (
    id TEXT PRIMARY KEY, submission_id TEXT NOT NULL, forward_path TEXT NOT NULL,
    destination TEXT NOT NULL, next_attempt_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,
    state SMALLINT NOT NULL, attempts INTEGER NOT NULL, leases INTEGER NOT NULL, outcome TEXT,
    reason TEXT NOT NULL, warned SMALLINT NOT NULL, lane SMALLINT NOT NULL, notify SMALLINT,
    orcpt TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS delivery_{day}_of_submission ON delivery_{day} (submission_id);
CREATE INDEX IF NOT EXISTS delivery_{day}_captured ON delivery_{day} (id) WHERE state = 4
"""
_DAILY_EVENT: Final = """
CREATE TABLE IF NOT EXISTS event_{day} (
    position BIGINT PRIMARY KEY, kind TEXT NOT NULL, at BIGINT NOT NULL, submission_id TEXT,
    delivery_id TEXT, account TEXT, facts TEXT NOT NULL, tag TEXT
);
CREATE INDEX IF NOT EXISTS event_{day}_of_submission ON event_{day} (submission_id)
    WHERE submission_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_{day}_refused_login ON event_{day} (tag) WHERE tag IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_{day}_refused_account ON event_{day} (account)
    WHERE kind = 'login.refused'
"""
_DAILY: Final = {"delivery": _by_octets(_DAILY_DELIVERY), "event": _by_octets(_DAILY_EVENT)}


def day_table_statements(kind: str, day: str) -> list[str]:
    """Return what makes a daily table ("delivery" or "event") if it is not there."""
    return _DAILY[kind].format(day=day).split(";")


def lock_number(name: str) -> int:
    """Return the number of an advisory lock of ours; it is the same in every program."""
    return zlib.crc32(f"gatepost/{name}".encode())
