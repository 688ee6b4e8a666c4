#!/bin/sh
# Prints the Python that the environment is made with, or one line that says what to install.
# $PYTHON, where it is set, is the only candidate.
set -u

lacks=
for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
    path=$(command -v "$name" 2>/dev/null) || continue
    "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    if "$path" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$path"
        exit 0
    fi
    [ -n "$lacks" ] || lacks=$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
done

if [ -n "$lacks" ]; then
    echo "gatepost: Python $lacks is here without its venv module. Debian, Ubuntu: apt-get install python$lacks-venv" >&2
elif [ -n "${PYTHON:-}" ]; then
    echo "gatepost: $PYTHON is no Python 3.11 or newer. Try: make PYTHON=/path/to/python3.12 ..." >&2
else
    echo "gatepost: Python 3.11 or newer is needed. Debian 12+, Ubuntu 24.04+: apt-get install python3 python3-venv;" \
        "elsewhere: make PYTHON=/path/to/python3.12 ..." >&2
fi
exit 1
