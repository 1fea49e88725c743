#!/bin/sh
# The longer tests: whole runs on real recordings, and every default test.
set -eu
. "$(dirname "$0")/setup.sh" "[test]"
cd "$root"
"$venv/bin/python" -m pytest "$@"
