#!/bin/sh
# All tests on a fresh machine: environment, style, types, tests. Further arguments go to pytest.
set -eu
lock=requirements-test.lock
. "$(dirname "$0")/setup.sh"
cd "$root"
. scripts/toolchain.sh
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m pytest -n 2 --dist loadfile -m "not slow" "$@"
