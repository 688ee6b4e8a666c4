#!/bin/sh
# Pins every package with its hashes, for Python 3.11 and newer, naming no registry: constraints/*.txt.
# Usage: constraints.sh UV [--upgrade]
set -eu
uv=$1
shift
cd "$(dirname "$0")/.."

pin() { # set, then what to resolve
    out=constraints/$1.txt
    shift
    printf '# Made by "make constraints" from pyproject.toml and constraints/build.in. Do not edit.\n' > "$out.new"
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-emit-find-links --no-strip-extras --no-annotate "$@" >> "$out.new"
    mv "$out.new" "$out"
}

pin runtime "$@" constraints/build.in pyproject.toml
pin develop "$@" constraints/build.in pyproject.toml --extra ldap --extra legacy --extra postgres --extra test --extra quality --constraint constraints/runtime.txt
pin compile "$@" constraints/build.in constraints/compile.in pyproject.toml --constraint constraints/develop.txt
pin docs "$@" pyproject.toml --extra docs --constraint constraints/develop.txt
