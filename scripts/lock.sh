#!/bin/sh
# Writes the lock files that demo.sh and test.sh install from: exact versions and SHA-256 hashes for Python 3.11 to 3.13.
# Versions already locked stay unless --upgrade (or --upgrade-package NAME) is given. Needs uv (pip install uv).
set -eu
cd "$(dirname "$0")/.."
lock() {
  target=$1
  shift
  uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links --quiet --output-file "$target" "$@"
}
lock requirements.lock --extra scale "$@"
lock requirements-test.lock --extra test --constraint requirements.lock "$@"
