#!/bin/sh
# A cross-section of the tests on the newest supported Python that is at hand; says so and ends well where there is only one Python.
# Usage: sh scripts/newest.sh [pytest's arguments]
set -eu
oldest=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
found=""
for candidate in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python3 python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python3; do
  if version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) && [ "$version" != "$oldest" ]; then
    found=$candidate
    break
  fi
done
[ -n "$found" ] || { echo "newest.sh: skipped, no Python 3.12 or 3.13 beside $oldest"; exit 0; }
echo "newest.sh: Python $version"
VENV="$(dirname "$0")/../.venv-$version"
PYTHON=$found
lock=requirements-test.lock
. "$(dirname "$0")/setup.sh"
cd "$root"
if [ $# -eq 0 ]; then
  set -- tests/test_package.py tests/test_distiller.py tests/test_data.py tests/test_cli.py tests/test_everyday.py
fi
"$venv/bin/python" -m pytest -n 2 --dist loadfile -m "not slow" "$@"
