PRAGMA application_id = 1197569125;
CREATE TABLE submission (
    id TEXT PRIMARY KEY, reverse_path TEXT NOT NULL, size INTEGER NOT NULL,
    received_at INTEGER NOT NULL, origin TEXT NOT NULL, account TEXT, message_id TEXT NOT NULL,
    client TEXT NOT NULL, eight_bit INTEGER NOT NULL, finished_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE content (
    submission_id TEXT PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, crc INTEGER NOT NULL, keep_until INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery (
    id TEXT PRIMARY KEY, submission_id TEXT NOT NULL, forward_path TEXT NOT NULL,
    destination TEXT NOT NULL, next_attempt_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    state INTEGER NOT NULL, attempts INTEGER NOT NULL, leases INTEGER NOT NULL, outcome TEXT,
    reason TEXT NOT NULL, warned INTEGER NOT NULL, ready_at INTEGER, worker TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE notice (
    delivery_id TEXT NOT NULL, is_warning INTEGER NOT NULL, submission_id TEXT NOT NULL,
    PRIMARY KEY (delivery_id, is_warning)
) STRICT, WITHOUT ROWID;
CREATE TABLE account (
    name TEXT PRIMARY KEY, senders TEXT NOT NULL, created_at INTEGER NOT NULL,
    state TEXT NOT NULL, exposed_at INTEGER
, salt BLOB NOT NULL DEFAULT x'', iterations INTEGER NOT NULL DEFAULT 0, app_passwords_only INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE credential (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, kind TEXT NOT NULL, verifier TEXT NOT NULL,
    created_at INTEGER NOT NULL, label TEXT NOT NULL, last_used_at INTEGER, last_mechanism TEXT,
    last_tls TEXT
, scram TEXT, recoverable TEXT, expires_at INTEGER, networks TEXT NOT NULL DEFAULT '[]', senders TEXT NOT NULL DEFAULT '[]') STRICT, WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE guessing (
    subject TEXT PRIMARY KEY, failures TEXT NOT NULL, locks INTEGER NOT NULL,
    locked_until INTEGER NOT NULL, changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE domain (
    name TEXT PRIMARY KEY, created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE dkim_key (
    domain TEXT NOT NULL, selector TEXT NOT NULL, algorithm TEXT NOT NULL,
    private_key TEXT NOT NULL, public_key BLOB NOT NULL, state TEXT NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (domain, selector)
) STRICT, WITHOUT ROWID;
CREATE TABLE foreign_use (
    account TEXT NOT NULL, proof TEXT NOT NULL, at INTEGER NOT NULL, mechanism TEXT NOT NULL,
    tls TEXT NOT NULL, PRIMARY KEY (account, proof)
) STRICT, WITHOUT ROWID;
CREATE TABLE event_20261123 (
    position INTEGER PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, submission_id TEXT,
    delivery_id TEXT, account TEXT, facts TEXT NOT NULL
) STRICT;
CREATE TABLE delivery_20261123 (
    id TEXT PRIMARY KEY, submission_id TEXT NOT NULL, forward_path TEXT NOT NULL,
    destination TEXT NOT NULL, next_attempt_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    state INTEGER NOT NULL, attempts INTEGER NOT NULL, leases INTEGER NOT NULL, outcome TEXT,
    reason TEXT NOT NULL, warned INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO submission VALUES ('01a20846fe7b70008000000000000000', 'app@example.com', 29, 1795435200123456, 'submission', 'app@example.com', '<1@example.com>', '192.0.2.9', 5, NULL);
INSERT INTO submission VALUES ('01a20846fe7b70038000000000000003', 'app@example.com', 29, 1795435200123456, 'submission', 'app@example.com', '<1@example.com>', '192.0.2.9', 5, NULL);
INSERT INTO content VALUES ('01a20846fe7b70008000000000000000', '18ec1ea12ea4c3a806c9', 0, 45, 3217603831, NULL);
INSERT INTO content VALUES ('01a20846fe7b70038000000000000003', '18ec1ea12ea4c3a806c9', 45, 45, 3217603831, NULL);
INSERT INTO delivery VALUES ('01a20846fe7b70018000000000000001', '01a20846fe7b70008000000000000000', 'r0@y.example', 'y.example', 1795435200123456, 1795867200123456, 1, 0, 1, NULL, '', 0, 1795435320123456, 'node/1/0');
INSERT INTO delivery VALUES ('01a20846fe7b70028000000000000002', '01a20846fe7b70008000000000000000', 'r1@y.example', 'y.example', 1795435200123456, 1795867200123456, 2, 0, 0, NULL, '', 0, NULL, NULL);
INSERT INTO delivery VALUES ('01a20846fe7b70058000000000000005', '01a20846fe7b70038000000000000003', 'r1@y.example', 'y.example', 1795435500123456, 1795867200123456, 0, 1, 1, '["deferred",451,"4.3.0","later","mx.example","192.0.2.1:25","",false,false]', 'later', 0, 1795435500123456, NULL);
INSERT INTO delivery VALUES ('01a20846fe7b70068000000000000006', '01a20846fe7b70038000000000000003', 'r2@y.example', 'y.example', 1795435200123456, 1795867200123456, 1, 0, 1, NULL, '', 0, 1795435320123456, 'node/1/0');
INSERT INTO notice VALUES ('01a20846fe7b70048000000000000004', 0, '01a20846fe7b70038000000000000003');
INSERT INTO account VALUES ('app@example.com', '["app@example.com"]', 1795435200123456, 'active', NULL, X'', 0, 0);
INSERT INTO credential VALUES ('cccccccccccccccccccccccccccccccc', 'app@example.com', 'password', '$argon2id$v=19$m=19456,t=2,p=1$p+JJshlhIkvGb4XRefPUuA$dVgFF4XmzEuEmOwHnLd3ZD5jPo97myZKqV8nrYZDrFM', 1795435200123456, '', NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]');
INSERT INTO counter VALUES ('event', 3);
INSERT INTO counter VALUES ('reader/journal', 1);
INSERT INTO guessing VALUES ('address 192.0.2.9', '[1795435195123456,1795435200123456]', 1, 1795435200123456, 1795435200123456);
INSERT INTO domain VALUES ('example.com', 1795435200123456);
INSERT INTO dkim_key VALUES ('example.com', 'new', 'ed25519', 'x', X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF', 'pending', 1795521600123456);
INSERT INTO dkim_key VALUES ('example.com', 'old', 'rsa', 'sealed', X'00646572', 'active', 1795435200123456);
INSERT INTO foreign_use VALUES ('app@example.com', 'oauth', 1795435200123456, 'XOAUTH2', 'TLSv1.3 X');
INSERT INTO event_20261123 VALUES (1, 'message.accepted', 1795435200123456, '01a20846fe7b70008000000000000000', NULL, 'app@example.com', '{"size":45}');
INSERT INTO event_20261123 VALUES (2, 'message.accepted', 1795435200123456, '01a20846fe7b70038000000000000003', NULL, 'app@example.com', '{"size":45}');
INSERT INTO event_20261123 VALUES (3, 'delivery.delivered', 1795435200123456, '01a20846fe7b70038000000000000003', NULL, 'app@example.com', '{}');
INSERT INTO delivery_20261123 VALUES ('01a20846fe7b70048000000000000004', '01a20846fe7b70038000000000000003', 'r0@y.example', 'y.example', 1795435200123456, 1795867200123456, 3, 1, 1, '["delivered",250,"2.0.0","ok","mx.example","192.0.2.1:25","",false,false]', '', 0);
CREATE INDEX content_kept ON content (keep_until) WHERE keep_until IS NOT NULL;
CREATE INDEX delivery_of_submission ON delivery (submission_id);
CREATE INDEX delivery_ready ON delivery (state, ready_at);
CREATE INDEX notice_of_submission ON notice (submission_id);
CREATE INDEX credential_of_account ON credential (account);
CREATE INDEX credential_certificate ON credential (verifier) WHERE kind = 'certificate';
CREATE INDEX guessing_changed ON guessing (changed_at);
CREATE INDEX event_20261123_of_submission ON event_20261123 (submission_id)
    WHERE submission_id IS NOT NULL;
CREATE INDEX event_20261123_refused_login ON event_20261123 (facts ->> 'tag')
    WHERE kind = 'login.refused';
CREATE INDEX event_20261123_refused_account ON event_20261123 (account)
    WHERE kind = 'login.refused';
CREATE INDEX delivery_20261123_of_submission ON delivery_20261123 (submission_id);
CREATE INDEX delivery_20261123_captured ON delivery_20261123 (id) WHERE state = 4;
PRAGMA user_version = 4;
