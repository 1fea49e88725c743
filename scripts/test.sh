#!/bin/sh
# All tests on a fresh machine: environment, style, types, tests. Further arguments go to pytest.
set -eu
sh "$(dirname "$0")/toolchain.sh" &
toolchain=$!
lock=requirements-test.lock
. "$(dirname "$0")/setup.sh"
wait "$toolchain"
cd "$root"
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m pytest -n 2 --dist loadfile -m "not slow" "$@"
