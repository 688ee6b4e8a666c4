#!/bin/bash
# Gatepost from this checkout (.venv), one worker per core unless WORKERS= says otherwise.
# GATEPOST: another gatepost program. DKIM=1 imports the benchmark's key for $DKIM_DOMAIN,
# DKIM=both makes keys of both kinds. FILL: options of fill.py;
# the queue begins with what that makes (made once, and copied). ROUTES: TOML, before the route for all.
# COMPILED=1: what "make compiled" has built (ADR 28).
. "$(dirname "$0")/lib.sh"
PORT=${PORT:-2561}
GATEPOST=${GATEPOST:-$(dirname "$BENCH")/.venv/bin/gatepost}
[ "${COMPILED:-}" != 1 ] || export PYTHONPATH=$(dirname "$BENCH")/build/compiled
CONF=$D/gatepost.toml
# An installed program has its bytecode beside it: a checkout makes it with its first start.
unset PYTHONDONTWRITEBYTECODE
gatepost() { "$GATEPOST" -c "$CONF" "$@"; }
peer_version() { "$GATEPOST" --version; }

peer_start() {
    case "$MODE" in
    hold) via='via = "hold"' ;;
    *) via="via = \"smtp:$SINK_HOST:$SINK_PORT\"
tls = \"never\"" ;;
    esac
    install -m 600 "$STATE/certs/$CERT.key" "$D/tls.key"
    install -m 644 "$STATE/certs/$CERT.crt" "$D/tls.crt"
    if [ -n "${FILL:-}" ] && [ ! -d "$D/state" ]; then
        filled=$STATE/fills/$(printf %s "$FILL" | tr -c 'a-z0-9\n' -)
        # shellcheck disable=SC2086 - options are words
        [ -d "$filled" ] || { mkdir -p "$STATE/fills" && "${GATEPOST%/*}/python" "$BENCH/fill.py" "$filled" $FILL; }
        cp -a "$filled" "$D/state"
    fi
    mkdir -p "$D/state"
    cat > "$CONF" <<EOF
hostname = "relay.test"
data_dir = "state"
workers = ${WORKERS:-0}

[tls]
certificate = "tls.crt"
private_key = "tls.key"

[[listeners]]
address = "127.0.0.1:$PORT"
role = "submission"

[limits]
connections = 20000
connections_per_address = 20000

${ROUTES:-}
[[routes]]
match = ["*"]
$via
EOF
    # a restart (W5) finds its account in the store
    if ! gatepost account show "$AUTH_USER" > /dev/null 2>&1; then
        echo "$AUTH_PASS" | gatepost account add "$AUTH_USER" --password-stdin --sender "@sender.test"
    fi
    case "$DKIM" in
    1) gatepost domain add "$DKIM_DOMAIN" --selector "$DKIM_SELECTOR" --dkim-key "$STATE/certs/dkim.key" ;;
    both) gatepost domain add "$DKIM_DOMAIN" ;;
    esac
    "$GATEPOST" -c "$CONF" serve > "$D/log" 2>&1 &
    echo $! > "$D/pid"
}
peer_stop() {
    p=$(cat "$D/pid" 2>/dev/null) || return 0
    kill "$p" 2>/dev/null || true
    i=0
    while kill -0 "$p" 2>/dev/null && [ $i -lt 600 ]; do i=$((i + 1)); sleep 0.05; done
    rm -f "$D/pid"
}
peer_reset() { discard "$D/state"; }
peer_qlen() { gatepost queue list --limit 100000 --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }
peer_qlist() { gatepost queue list --limit 100000; }
peer_main "$@"
