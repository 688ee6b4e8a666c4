CREATE TABLE public.account (
    name text NOT NULL COLLATE pg_catalog."C",
    senders text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    exposed_at bigint,
    salt bytea NOT NULL,
    iterations bigint NOT NULL,
    app_passwords_only smallint NOT NULL,
    recipients text NOT NULL COLLATE pg_catalog."C",
    limits text NOT NULL COLLATE pg_catalog."C",
    lane text COLLATE pg_catalog."C",
    pool text COLLATE pg_catalog."C"
);
CREATE TABLE public.account_rule (
    account text NOT NULL COLLATE pg_catalog."C",
    drops smallint NOT NULL,
    stream text NOT NULL COLLATE pg_catalog."C",
    links smallint NOT NULL
);
CREATE TABLE public.api_key (
    id text NOT NULL COLLATE pg_catalog."C",
    verifier text NOT NULL COLLATE pg_catalog."C",
    scopes text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    account text COLLATE pg_catalog."C",
    label text NOT NULL COLLATE pg_catalog."C",
    expires_at bigint,
    last_used_at bigint,
    limits text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.bulk (
    day text NOT NULL COLLATE pg_catalog."C",
    provider text NOT NULL COLLATE pg_catalog."C",
    domain text NOT NULL COLLATE pg_catalog."C",
    count bigint NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.content (
    submission_id text NOT NULL COLLATE pg_catalog."C",
    length bigint NOT NULL,
    crc bigint NOT NULL,
    pieces integer NOT NULL,
    keep_until bigint,
    octets bytea NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0', toast.autovacuum_vacuum_scale_factor='0.02', toast.autovacuum_vacuum_threshold='1000', toast.autovacuum_vacuum_cost_delay='0');
ALTER TABLE ONLY public.content ALTER COLUMN octets SET STORAGE EXTERNAL;
CREATE TABLE public.content_more (
    submission_id text NOT NULL COLLATE pg_catalog."C",
    number integer NOT NULL,
    octets bytea NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0', toast.autovacuum_vacuum_scale_factor='0.02', toast.autovacuum_vacuum_threshold='1000', toast.autovacuum_vacuum_cost_delay='0');
ALTER TABLE ONLY public.content_more ALTER COLUMN octets SET STORAGE EXTERNAL;
CREATE TABLE public.counter (
    name text NOT NULL COLLATE pg_catalog."C",
    value bigint NOT NULL
)
WITH (fillfactor='10', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.credential (
    id text NOT NULL COLLATE pg_catalog."C",
    account text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    verifier text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    label text NOT NULL COLLATE pg_catalog."C",
    last_used_at bigint,
    last_mechanism text COLLATE pg_catalog."C",
    last_tls text COLLATE pg_catalog."C",
    scram text COLLATE pg_catalog."C",
    recoverable text COLLATE pg_catalog."C",
    expires_at bigint,
    networks text NOT NULL COLLATE pg_catalog."C",
    senders text NOT NULL COLLATE pg_catalog."C",
    limits text NOT NULL COLLATE pg_catalog."C",
    lane text COLLATE pg_catalog."C",
    exposed_at bigint
)
WITH (fillfactor='70');
CREATE TABLE public.delivery (
    id text NOT NULL COLLATE pg_catalog."C",
    submission_id text NOT NULL COLLATE pg_catalog."C",
    forward_path text NOT NULL COLLATE pg_catalog."C",
    destination text NOT NULL COLLATE pg_catalog."C",
    next_attempt_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    state smallint NOT NULL,
    attempts integer NOT NULL,
    leases integer NOT NULL,
    outcome text COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    warned smallint NOT NULL,
    lane smallint NOT NULL,
    notify smallint,
    orcpt text NOT NULL COLLATE pg_catalog."C",
    ready_at bigint,
    worker text COLLATE pg_catalog."C",
    pool text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    account text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0', fillfactor='50', toast.autovacuum_vacuum_scale_factor='0.02', toast.autovacuum_vacuum_threshold='1000', toast.autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.delivery_20261123 (
    id text NOT NULL COLLATE pg_catalog."C",
    submission_id text NOT NULL COLLATE pg_catalog."C",
    forward_path text NOT NULL COLLATE pg_catalog."C",
    destination text NOT NULL COLLATE pg_catalog."C",
    next_attempt_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    state smallint NOT NULL,
    attempts integer NOT NULL,
    leases integer NOT NULL,
    outcome text COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    warned smallint NOT NULL,
    lane smallint NOT NULL,
    notify smallint,
    orcpt text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.dkim_key (
    domain text NOT NULL COLLATE pg_catalog."C",
    selector text NOT NULL COLLATE pg_catalog."C",
    algorithm text NOT NULL COLLATE pg_catalog."C",
    private_key text NOT NULL COLLATE pg_catalog."C",
    public_key bytea NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    retired_at bigint
);
CREATE TABLE public.domain (
    name text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    unproven smallint NOT NULL,
    unpublished text COLLATE pg_catalog."C"
);
CREATE TABLE public.domain_claim (
    domain text NOT NULL COLLATE pg_catalog."C",
    account text NOT NULL COLLATE pg_catalog."C",
    token text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    proven_at bigint,
    missing_since bigint
);
CREATE TABLE public.domain_look (
    domain text NOT NULL COLLATE pg_catalog."C",
    claimed_until bigint NOT NULL,
    looked_at bigint,
    health text COLLATE pg_catalog."C",
    since bigint,
    findings text COLLATE pg_catalog."C",
    published text COLLATE pg_catalog."C"
);
CREATE TABLE public.egress_pause (
    address text NOT NULL COLLATE pg_catalog."C",
    since bigint NOT NULL,
    paused_by text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.event_20261123 (
    "position" bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    submission_id text COLLATE pg_catalog."C",
    delivery_id text COLLATE pg_catalog."C",
    account text COLLATE pg_catalog."C",
    facts text NOT NULL COLLATE pg_catalog."C",
    tag text COLLATE pg_catalog."C"
);
CREATE TABLE public.foreign_use (
    account text NOT NULL COLLATE pg_catalog."C",
    proof text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    mechanism text NOT NULL COLLATE pg_catalog."C",
    tls text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.guessing (
    subject text NOT NULL COLLATE pg_catalog."C",
    failures text NOT NULL COLLATE pg_catalog."C",
    locks bigint NOT NULL,
    locked_until bigint NOT NULL,
    changed_at bigint NOT NULL
);
CREATE TABLE public.history (
    credential text NOT NULL COLLATE pg_catalog."C",
    account text NOT NULL COLLATE pg_catalog."C",
    first_at bigint NOT NULL,
    counts text NOT NULL COLLATE pg_catalog."C",
    held_at bigint,
    held_because text NOT NULL COLLATE pg_catalog."C",
    changed_at bigint NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0', toast.autovacuum_vacuum_scale_factor='0.02', toast.autovacuum_vacuum_threshold='1000', toast.autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.kept_key (
    account text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    digest bytea NOT NULL,
    submission_id text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.notice (
    delivery_id text NOT NULL COLLATE pg_catalog."C",
    kind smallint NOT NULL,
    submission_id text NOT NULL COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.presence (
    worker text NOT NULL COLLATE pg_catalog."C",
    node text NOT NULL COLLATE pg_catalog."C",
    home text NOT NULL COLLATE pg_catalog."C",
    version text NOT NULL COLLATE pg_catalog."C",
    addresses text NOT NULL COLLATE pg_catalog."C",
    since bigint NOT NULL,
    heard_at bigint NOT NULL,
    ahead bigint NOT NULL,
    lost smallint NOT NULL,
    sources text DEFAULT '[]'::text NOT NULL COLLATE pg_catalog."C",
    knows bigint
)
WITH (fillfactor='50');
CREATE TABLE public.quota (
    subject text NOT NULL COLLATE pg_catalog."C",
    counts bytea NOT NULL,
    warned bytea NOT NULL,
    changed_at bigint NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0', toast.autovacuum_vacuum_scale_factor='0.02', toast.autovacuum_vacuum_threshold='1000', toast.autovacuum_vacuum_cost_delay='0');
ALTER TABLE ONLY public.quota ALTER COLUMN counts SET STORAGE MAIN;
CREATE TABLE public.quota_lease (
    subject text NOT NULL COLLATE pg_catalog."C",
    worker text NOT NULL COLLATE pg_catalog."C",
    messages bigint NOT NULL,
    recipients bigint NOT NULL,
    until bigint NOT NULL,
    recalled smallint NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.schema_mark (
    name text NOT NULL COLLATE pg_catalog."C",
    value bigint NOT NULL
);
CREATE TABLE public.submission (
    id text NOT NULL COLLATE pg_catalog."C",
    reverse_path text NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    received_at bigint NOT NULL,
    origin text NOT NULL COLLATE pg_catalog."C",
    account text COLLATE pg_catalog."C",
    message_id text NOT NULL COLLATE pg_catalog."C",
    client text NOT NULL COLLATE pg_catalog."C",
    eight_bit smallint NOT NULL,
    ret text COLLATE pg_catalog."C",
    envid text NOT NULL COLLATE pg_catalog."C",
    priority smallint NOT NULL,
    hold text NOT NULL COLLATE pg_catalog."C",
    release_at bigint,
    credential text COLLATE pg_catalog."C",
    finished_at bigint
)
WITH (fillfactor='85', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0', toast.autovacuum_vacuum_scale_factor='0.02', toast.autovacuum_vacuum_threshold='1000', toast.autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.suppression (
    number bigint NOT NULL,
    subject text NOT NULL COLLATE pg_catalog."C",
    account text NOT NULL COLLATE pg_catalog."C",
    stream text NOT NULL COLLATE pg_catalog."C",
    class text NOT NULL COLLATE pg_catalog."C",
    since bigint NOT NULL,
    reason text NOT NULL COLLATE pg_catalog."C"
);
ALTER TABLE public.suppression ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.suppression_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO public.account VALUES ('app@example.com', '["app@example.com"]', 1795435200123456, 'active', NULL, '\x', 0, 0, '[]', '[]', NULL, NULL);
INSERT INTO public.account_rule VALUES ('app@example.com', 1, 'news', 0);
INSERT INTO public.api_key VALUES ('k1', '$blake2b$y', '["send", "read"]', 1795435200123456, 'a@x.example', 'shop', 1795521600123456, 1795435260123456, '[["messages","hour",5],["recipients","day",null]]');
INSERT INTO public.bulk VALUES ('2026-01-01', 'gmail', 'example.com', 3);
INSERT INTO public.content VALUES ('01a20846fe7b70058000000000000005', 45, 3217603831, 1, NULL, '\x5375626a6563743a2066726f6d20616e206f6c642070726f6772616d0d0a0d0a5374696c6c20686572652e0d0a');
INSERT INTO public.content VALUES ('01a20846fe7b70088000000000000008', 45, 3217603831, 1, NULL, '\x5375626a6563743a2066726f6d20616e206f6c642070726f6772616d0d0a0d0a5374696c6c20686572652e0d0a');
INSERT INTO public.counter VALUES ('event', 0);
INSERT INTO public.counter VALUES ('news', 4);
INSERT INTO public.counter VALUES ('reader/journal', 1);
INSERT INTO public.credential VALUES ('cccccccccccccccccccccccccccccccc', 'app@example.com', 'password', '$argon2id$v=19$m=19456,t=2,p=1$bTBlvWSFtrBXl3ekE4GPcg$swXm7fT3IcYlNoguLBK4F8wRW5nCct4okDyRwyrEmiM', 1795435200123456, '', NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, NULL);
INSERT INTO public.delivery VALUES ('01a20846fe7b70068000000000000006', '01a20846fe7b70058000000000000005', 'r0@y.example', 'y.example', 1795435200123456, 1795867200123456, 1, 0, 1, NULL, '', 0, 1, NULL, '', 1795435320123456, 'node/1/0', '', 'app@example.com');
INSERT INTO public.delivery VALUES ('01a20846fe7b70078000000000000007', '01a20846fe7b70058000000000000005', 'r1@y.example', 'y.example', 1795435200123456, 1795867200123456, 2, 0, 0, NULL, '', 0, 1, NULL, '', NULL, NULL, '', 'app@example.com');
INSERT INTO public.delivery VALUES ('01a20846fe7b700b800000000000000b', '01a20846fe7b70088000000000000008', 'r2@y.example', 'y.example', 1795435200123456, 1795867200123456, 1, 0, 1, NULL, '', 0, 1, NULL, '', 1795435320123456, 'node/1/0', '', 'app@example.com');
INSERT INTO public.delivery VALUES ('01a20846fe7b700a800000000000000a', '01a20846fe7b70088000000000000008', 'r1@y.example', 'y.example', 1795435500123456, 1795867200123456, 0, 1, 1, '["deferred",451,"4.3.0","later","mx.example","192.0.2.1:25","",false,false]', 'later', 0, 1, NULL, '', 1795435500123456, NULL, '', 'app@example.com');
INSERT INTO public.delivery_20261123 VALUES ('01a20846fe7b70098000000000000009', '01a20846fe7b70088000000000000008', 'r0@y.example', 'y.example', 1795435200123456, 1795867200123456, 3, 1, 1, '["delivered",250,"2.0.0","ok","mx.example","192.0.2.1:25","",false,false]', '', 0, 1, NULL, '');
INSERT INTO public.dkim_key VALUES ('example.com', 'new', 'ed25519', 'x', '\xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 'pending', 1795521600123456, NULL);
INSERT INTO public.dkim_key VALUES ('example.com', 'old', 'rsa', 'sealed', '\x00646572', 'active', 1795435200123456, NULL);
INSERT INTO public.domain VALUES ('example.com', 1795435200123456, 0, NULL);
INSERT INTO public.domain_claim VALUES ('example.com', 'b', 'token', 1795435200123456, NULL, NULL);
INSERT INTO public.domain_look VALUES ('example.com', 0, 1795435200123456, 'bad', 1795435200123456, '[["SPF","example.com","wrong","it does not allow \u00fc","mend it"]]', '["a","b"]');
INSERT INTO public.egress_pause VALUES ('192.0.2.5', 1795435200123456, 'ops', 'listed');
INSERT INTO public.event_20261123 VALUES (3170893825, 'message.accepted', 1795435200123456, '01a20846fe7b70058000000000000005', NULL, 'app@example.com', '{"size":45}', NULL);
INSERT INTO public.event_20261123 VALUES (3175088129, 'message.accepted', 1795435200123456, '01a20846fe7b70088000000000000008', NULL, 'app@example.com', '{"size":45}', NULL);
INSERT INTO public.event_20261123 VALUES (3175088130, 'delivery.delivered', 1795435200123456, '01a20846fe7b70088000000000000008', NULL, 'app@example.com', '{}', NULL);
INSERT INTO public.foreign_use VALUES ('app@example.com', 'oauth', 1795435200123456, 'XOAUTH2', 'TLSv1.3 X');
INSERT INTO public.guessing VALUES ('address 192.0.2.9', '[1795435195123456,1795435200123456]', 1, 1795435200123456, 1795435200123456);
INSERT INTO public.history VALUES ('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'a@x.example', 1795435200123456, '{"hour":[[29923920,[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,7]],[29923920,[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,5]],[29923920,[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,2]],[29923920,[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,2]]],"days":[[20780,7,2]],"networks":{"2001:db8::/48":20780,"192.0.2.0/24":20780}}', 1795435201123456, 'too much at once', 1795435200123456);
INSERT INTO public.kept_key VALUES ('app', 'k', '\x00646967657374', 's1', 1795435200123456);
INSERT INTO public.notice VALUES ('01a20846fe7b70098000000000000009', 0, '01a20846fe7b70088000000000000008');
INSERT INTO public.presence VALUES ('a/0/7.1/', 'a', 'home', '1.0', '["127.0.0.1:587"]', 1795878918992266, 1795878918992266, -4945, 0, '[]', 10);
INSERT INTO public.quota VALUES ('account/a@x.example', '\xc02a046b00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000002000000509ac801000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000020000006e0613000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000200000059a2000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000002000000c02a046b00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000005000000509ac801000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000050000006e0613000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000500000059a2000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000005000000', '\x0000000000000000', 1795435200123456);
INSERT INTO public.quota_lease VALUES ('account/a@x.example', 'node/0/1.1/', 10, 20, 1795435230123456, 0);
INSERT INTO public.schema_mark VALUES ('version', 10);
INSERT INTO public.schema_mark VALUES ('oldest', 0);
INSERT INTO public.schema_mark VALUES ('tidied', 10);
INSERT INTO public.submission VALUES ('01a20846fe7b70058000000000000005', 'app@example.com', 29, 1795435200123456, 'submission', 'app@example.com', '<1@example.com>', '192.0.2.9', 5, NULL, '', 0, '', NULL, NULL, NULL);
INSERT INTO public.submission VALUES ('01a20846fe7b70088000000000000008', 'app@example.com', 29, 1795435200123456, 'submission', 'app@example.com', '<1@example.com>', '192.0.2.9', 5, NULL, '', 0, '', NULL, NULL, NULL);
INSERT INTO public.suppression OVERRIDING SYSTEM VALUE VALUES (2, '@y.example', '', '', 'manual', 1795521600123456, '');
INSERT INTO public.suppression OVERRIDING SYSTEM VALUE VALUES (1, 'bob@y.example', 'app@example.com', '', 'bounced', 1795435200123456, '550 no');
SELECT pg_catalog.setval('public.suppression_number_seq', 2, true);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.account_rule
    ADD CONSTRAINT account_rule_pkey PRIMARY KEY (account);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bulk
    ADD CONSTRAINT bulk_pkey PRIMARY KEY (day, provider, domain);
ALTER TABLE ONLY public.content_more
    ADD CONSTRAINT content_more_pkey PRIMARY KEY (submission_id, number);
ALTER TABLE ONLY public.content
    ADD CONSTRAINT content_pkey PRIMARY KEY (submission_id);
ALTER TABLE ONLY public.counter
    ADD CONSTRAINT counter_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.credential
    ADD CONSTRAINT credential_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.delivery_20261123
    ADD CONSTRAINT delivery_20261123_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.dkim_key
    ADD CONSTRAINT dkim_key_pkey PRIMARY KEY (domain, selector);
ALTER TABLE ONLY public.domain_claim
    ADD CONSTRAINT domain_claim_pkey PRIMARY KEY (domain, account);
ALTER TABLE ONLY public.domain_look
    ADD CONSTRAINT domain_look_pkey PRIMARY KEY (domain);
ALTER TABLE ONLY public.domain
    ADD CONSTRAINT domain_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.egress_pause
    ADD CONSTRAINT egress_pause_pkey PRIMARY KEY (address);
ALTER TABLE ONLY public.event_20261123
    ADD CONSTRAINT event_20261123_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY public.foreign_use
    ADD CONSTRAINT foreign_use_pkey PRIMARY KEY (account, proof);
ALTER TABLE ONLY public.guessing
    ADD CONSTRAINT guessing_pkey PRIMARY KEY (subject);
ALTER TABLE ONLY public.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (credential);
ALTER TABLE ONLY public.kept_key
    ADD CONSTRAINT kept_key_pkey PRIMARY KEY (account, key);
ALTER TABLE ONLY public.notice
    ADD CONSTRAINT notice_pkey PRIMARY KEY (delivery_id, kind);
ALTER TABLE ONLY public.presence
    ADD CONSTRAINT presence_pkey PRIMARY KEY (worker);
ALTER TABLE ONLY public.quota_lease
    ADD CONSTRAINT quota_lease_pkey PRIMARY KEY (subject, worker);
ALTER TABLE ONLY public.quota
    ADD CONSTRAINT quota_pkey PRIMARY KEY (subject);
ALTER TABLE ONLY public.schema_mark
    ADD CONSTRAINT schema_mark_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.submission
    ADD CONSTRAINT submission_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.suppression
    ADD CONSTRAINT suppression_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.suppression
    ADD CONSTRAINT suppression_subject_account_stream_key UNIQUE (subject, account, stream);
CREATE INDEX content_kept ON public.content USING btree (keep_until) WHERE (keep_until IS NOT NULL);
CREATE INDEX credential_certificate ON public.credential USING btree (verifier) WHERE (kind = 'certificate'::text);
CREATE INDEX credential_of_account ON public.credential USING btree (account);
CREATE INDEX delivery_20261123_captured ON public.delivery_20261123 USING btree (id) WHERE (state = 4);
CREATE INDEX delivery_20261123_of_submission ON public.delivery_20261123 USING btree (submission_id);
CREATE INDEX delivery_next ON public.delivery USING btree (state, lane, pool, ready_at);
CREATE INDEX delivery_next_of ON public.delivery USING btree (lane, pool, destination, ready_at) WHERE (state = 0);
CREATE INDEX delivery_of_account ON public.delivery USING btree (((+ lane)), pool, account, ready_at) WHERE (state = 0);
CREATE INDEX delivery_of_submission ON public.delivery USING btree (submission_id);
CREATE INDEX delivery_turn ON public.delivery USING btree (abs(lane), pool, account, destination, ready_at) WHERE (state = 0);
CREATE INDEX event_20261123_of_submission ON public.event_20261123 USING btree (submission_id) WHERE (submission_id IS NOT NULL);
CREATE INDEX event_20261123_refused_account ON public.event_20261123 USING btree (account) WHERE (kind = 'login.refused'::text);
CREATE INDEX event_20261123_refused_login ON public.event_20261123 USING btree (tag) WHERE (tag IS NOT NULL);
CREATE INDEX guessing_changed ON public.guessing USING btree (changed_at);
CREATE INDEX history_changed ON public.history USING btree (changed_at);
CREATE INDEX history_held ON public.history USING btree (account) WHERE (held_at IS NOT NULL);
CREATE INDEX kept_key_age ON public.kept_key USING btree (at);
CREATE INDEX notice_of_submission ON public.notice USING btree (submission_id);
CREATE INDEX quota_changed ON public.quota USING btree (changed_at);
CREATE INDEX quota_recalled ON public.quota_lease USING btree (worker) WHERE (recalled = 1);
CREATE INDEX submission_later ON public.submission USING btree (account, release_at) WHERE (release_at IS NOT NULL);
CREATE INDEX submission_message_id ON public.submission USING btree (message_id);
CREATE INDEX suppression_of_account ON public.suppression USING btree (account) WHERE (account <> ''::text);
