#!/bin/bash
# W1, W2 and W3 for Gatepost and every peer that setup.sh has put in place, then the medians, as a table and as a plot.
# PEERS, WORKLOADS, ROUNDS and MESSAGES narrow or widen it; the rows go to $OUT.
set -euo pipefail
BENCH=$(cd "$(dirname "$0")" && pwd)
export BENCH_STATE=${BENCH_STATE:-$BENCH/.state}
OUT=${OUT:-$BENCH/results/$(date -u +%Y%m%dT%H%M%SZ).jsonl}

have() { command -v "$1" > /dev/null 2>&1; }
for program in make cc openssl; do
    have $program || { echo "bench: $program is missing. Debian: apt-get install build-essential libssl-dev openssl" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "bench: needs root, for control groups (CPU of all processes of a server)" >&2; exit 2; }
make --quiet -C "$BENCH/tools" OUT="$BENCH_STATE/bin"

accepting=gatepost
relaying=gatepost
add() { accepting+=,$1; relaying+=,$1; }
if [ -d "$BENCH/../build/compiled" ]; then add gatepost@COMPILED=1; fi
if have postfix && have dovecot; then add postfix; fi
if [ -x "$BENCH_STATE/opt/exim/usr/sbin/exim4" ]; then add exim; fi
if [ -d "$BENCH_STATE/opt/node/node_modules/Haraka" ] && have node; then add haraka; fi
if [ -x "$BENCH_STATE/opt/venv/bin/python" ]; then accepting+=,aiosmtpd; fi
echo "peers: ${PEERS:-$accepting} (others: bench/setup.sh)"

more=()
[ -z "${MESSAGES:-}" ] || more=(--messages "$MESSAGES")
for workload in ${WORKLOADS:-W1 W2 W3}; do
    peers=$accepting
    case $workload in W3 | W5) peers=$relaying ;; esac
    "$BENCH/measure.py" "$workload" --peers "${PEERS:-$peers}" --rounds "${ROUNDS:-3}" --out "$OUT" "${more[@]}"
done
"$BENCH/summary.py" "$OUT"
"$BENCH/plot.py" "$OUT"
