#!/bin/sh
# The longer tests: whole runs on real recordings, and every default test.
set -eu
lock=requirements-test.lock
. "$(dirname "$0")/setup.sh"
cd "$root"
. scripts/toolchain.sh
install_where_missing "cppcheck" cppcheck
"$venv/bin/python" -m pytest -n 2 --dist loadfile "$@"
