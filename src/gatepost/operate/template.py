"""The commented gatepost.toml that `init` writes: every option there is, and none that is not.

An option that is commented out shows its default, or an example where it has none. A test reads
it with every option switched on, and compares its keys with the settings.
"""

from typing import Final

TEMPLATE: Final = """\
# Gatepost. "gatepost check" names every fault in here with its line and how to mend it.
# Relative paths are relative to this file. Durations: "30 s", "5 min", "4 h", "5 d"; sizes: "25 MiB".

# The name by which this server greets others; it should have an A or AAAA and a PTR record.
hostname = "{hostname}"
#node = "relay1"                   # this node's name; else the machine's
data_dir = "state"                 # accounts, queue, journal; owned by the user that serves
#store = "sqlite"                  # or "postgresql://gatepost@db1,db2/gatepost": of many nodes
#store_password_file = "store.password"   # for PostgreSQL; else in the URL, or in ~/.pgpass
#workers = 0                       # processes; 0 = one per core
#master_key = "master.key"         # in data_dir; back it up apart from the database
#postmaster = "ops@relay.example"  # who reads mail for postmaster; else a maildir in data_dir

[tls]
certificate = "cert.pem"           # the chain, the server's own certificate first
private_key = "key.pem"
# Further certificates, chosen by the name that a client asks for (SNI):
#[[tls.more]]
#certificate = "other-cert.pem"
#private_key = "other-key.pem"

{listeners}
#[auth]
#mechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2", "OAUTHBEARER", "EXTERNAL"]   # "CRAM-MD5", "SCRAM-SHA-1"

#[auth.oauth]                      # for XOAUTH2 and OAUTHBEARER
#audience = "gatepost"             # what a token must be for
#issuer = "https://id.example"     # its keys are found by discovery; or:
#jwks_url = "https://id.example/keys"
#jwks_file = "jwks.json"
#account_claim = "email"
#require_email_verified = true     # false: for an issuer that verifies all addresses, and does not say so
#algorithms = ["RS256", "PS256", "ES256", "EdDSA"]
#leeway = "60 s"                   # for clocks that differ
#introspection_url = "https://id.example/introspect"  # for tokens that are no JWT
#client_id = "gatepost"            # who asks there
#client_secret_file = "introspection.secret"

# Others who know accounts, asked after our own, in this order (docs: "Ask a directory"):
#[[auth.directories]]
#name = "corp"                     # for explain and account show
#kind = "ldap"
#match = ["corp.example"]          # domains of the names that it is asked for; "*" for all
#remember = "5 min"                # how long it is believed
#timeout = "5 s"
#connections = 8                   # of each worker
#lane = "transactional"            # of its accounts, and how much each may send:
#hourly = 500
#daily = 2000
#servers = ["ldaps://ldap.corp.example"]
#ca_file = "corp-ca.pem"           # else the system's authorities
#base = "ou=people,dc=corp,dc=example"
#filter = "(mail={name})"
#reader_dn = "cn=reader,dc=corp,dc=example"   # who searches; without it, anonymously
#secret_file = "reader.secret"
#sender_attributes = ["mail"]      # which addresses an account owns
#suspended_filter = "(nsAccountLock=TRUE)"
#[[auth.directories]]
#name = "straight"
#kind = "ldap"
#match = ["corp.example"]
#servers = ["ldap://127.0.0.1"]
#starttls = true                   # for ldap://
#user_dn = "uid={local},ou=people,dc=corp,dc=example"   # instead of a search
#[[auth.directories]]
#name = "shop"
#kind = "sql"
#database = "postgresql://gatepost@db.example/shop"     # or "sqlite:users.db"
#query = "SELECT hash AS password, senders, state FROM users WHERE login = :name"
#secret_file = "shop.secret"
#[[auth.directories]]
#name = "web"
#kind = "http"
#url = "https://id.example/login"
#secret_file = "web.secret"

#[limits]                          # for the whole node
#message_size = "25 MiB"
#recipients = 1000                 # of one message
#connections = 10000
#connections_per_address = 100      # of IPv6: per /64
#connections_per_network = 2000     # a /24, of IPv6 a /48
#idle = "5 min"                    # between commands
#handshake = "30 s"                # TLS
#session = "1 h"                   # a whole connection
#minimum_rate = "100 B/s"          # of content, after 30 s
#authentication_failures = 10      # per address in 10 min; then locked out, longer each time
#future_release = "30 d"           # how far ahead a message may be sent for later; "0 s": not at all
#future_release_storage = "1 GiB"  # how much of one account's mail may wait so

#[quotas]                          # of accounts without limits of their own; see "gatepost account limit"
#messages_per_minute = 60
#messages_per_hour = 1000
#messages_per_day = 10000
#messages_per_month = 200000
#recipients_per_minute = 600
#recipients_per_hour = 10000
#recipients_per_day = 100000
#recipients_per_month = 2000000

#[breaker]                         # holds a credential that suddenly does what it never did
#enabled = true
#recipients = 1000                 # in an hour, and more than
#factor = 10                       # times its busiest hour of 30 days
#refused = 100                     # in an hour, because there is no such address (10 of one domain), and
#share = 30                        # percent of what ended
#networks = 20                     # new ones in an hour, and more than `factor` times its most
#known_for = "7 d"                 # younger credentials are not judged by volume and networks

# Domains whose mail the mx listener takes without login:
#[[local_domains]]
#name = "local.test"
#mailboxes = ["alice", "bob"]      # ["*"] takes all
#deliver_to = "maildir:mail"       # in data_dir; or "lmtp:HOST:PORT", "smtp:HOST:PORT"
#verify_recipients = false        # true: ask that server whom it has; left out: where mailboxes takes all

#[alignment]                       # submissions that DMARC will not find aligned, by From's domain
#mode = "observe"                  # told by trace; "warn": an event, too; "enforce": refused
#observe = ["*.test.example"]      # domains with another mode; the strictest list counts
#warn = ["news.example"]
#enforce = ["shop.example", "*.shop.example"]

#[submission]                      # what is done to a message of one who logged in
#long_lines = "encode"             # over 998 octets; or "refuse", "pass"
#bare_line_ends = "normalise"      # or "refuse"
#hide_client = false               # true: Received tells neither the client's name nor its address

#[inbound]                         # mail that the mx listener takes
#verify = true                     # SPF, DKIM, DMARC: found out and written into Authentication-Results
#dmarc = "observe"                 # "enforce": refused where the author's domain asks for it
#dns_trouble = "accept"            # "defer": told to come again when the DNS does not answer
#reports_per_hour = 100            # to senders who have not logged in; 0: none

# Recipient domains that go another way than to their own MX; the first match wins:
#[[routes]]
#match = ["example", "*.example"]  # "*" for all
#via = "smtp:smart.example:587"    # or "lmtp:HOST:PORT", "mx", "capture", "discard", "hold"
#tls = "required"                  # "opportunistic", "never", "implicit"
#username = "me@smart.example"     # needs TLS
#password_file = "smart-host.password"
#token_command = "fetch-token me"  # instead: prints an access token for XOAUTH2 or OAUTHBEARER
#mechanism = "PLAIN"               # else the strongest that the other side offers
#client_certificate = "us.pem"     # shown to it; without a password: for EXTERNAL
#client_key = "us.key"
#pool = "system"                   # from which source addresses ([[egress]]); "system": as it chooses
#[routes.oauth]                    # instead of a password: access tokens for a refresh token
#token_url = "https://id.example/token"
#client_id = "gatepost"
#client_secret_file = "smart-host.secret"        # none for a public client
#refresh_token_file = "/var/lib/gatepost/smart-host.refresh" # replaced when the provider sends another one
#scope = "https://mail.example/smtp.send"        # else what was granted at first

# Source addresses of this node; without any the system chooses. Each address needs a PTR record
# with the name, and the name an A or AAAA record with the address:
#[[egress]]
#name = "mail1.relay.example"      # said in EHLO
#ipv4 = "192.0.2.5"
#ipv6 = "2001:db8::5"              # either, or both
#pools = ["default"]               # "default": mail that names no pool; see "gatepost account pool"

# What leaves from which pool, whatever its account's; the first that fits; all that is given must:
#[[pool_rules]]
#pool = "news"
#domains = ["news.example", "*.news.example"]   # of From
#streams = ["newsletter"]          # Gatepost-Stream, else the account's
#accounts = ["campaigns@example.com"]
#credentials = ["0123456789abcdef0123456789abcdef"]   # see "gatepost account show"
#elsewhere = true                  # only other nodes have addresses of this pool

#[retry]
#first = "5 min"                   # the first wait; it doubles
#longest = "4 h"
#give_up = "5 d"
#warn = "4 h"                      # when the sender is told of the delay

#[domains]                         # those added with "gatepost domain add"
#return_path = "bounces"           # the label of their return paths' domains
#unpublished_key = "sign"          # while the DNS shows no key: "refuse" for now, or "hold"
#verify_sample = 1000              # one signature in so many is verified before it leaves; 0: none
#check_every = "6 h"               # how often the DNS is looked at; "0 s": never

#[lanes]                           # how long each is tried, where [retry] give_up is longer
#otp = "15 min"
#transactional = "2 d"

#[policy]
#tags = "+"                        # app+anything@ is whose app@ is; "" for no tags

#[suppression]
#invalid_recipients = true         # who is refused as unknown or disabled gets no more mail

#[retention]
#content = "0 s"                   # after the last delivery is settled
#captured = "7 d"
#idempotency_keys = "1 d"
#events = "30 d"

#[dns]
#resolvers = ["127.0.0.1:53"]      # else the system's
#local_exchangers = false          # whether an MX may lead to loopback or link-local addresses

#[http]                             # the HTTP API, /healthz and /metrics; without this section: none
#address = "127.0.0.1:8025"         # put a web server with TLS before it, should others reach it
#trusted_proxies = ["127.0.0.1"]     # the web servers before it, whose X-Forwarded-For is believed
#connections_per_address = 100      # trusted proxies excepted
#public_url = "https://mail.example"  # how others reach it: links to unsubscribe begin so

#[log]
#format = "text"                   # "json"
"""
