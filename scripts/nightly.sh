#!/bin/sh
# The longer tests: whole runs on real recordings, and every default test.
set -eu
sh "$(dirname "$0")/toolchain.sh" nightly &
toolchain=$!
lock=requirements-test.lock
. "$(dirname "$0")/setup.sh"
wait "$toolchain"
cd "$root"
"$venv/bin/python" -m pytest -n 2 --dist loadfile "$@"
