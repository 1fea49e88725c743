# Sourced by the other scripts: a virtual environment in .venv with the locked versions, each wheel checked against its hash.
# Usage: lock=requirements.lock; . scripts/setup.sh      PYTHON names the Python to use (3.11 to 3.13), VENV the folder.
root=$(cd "$(dirname "$0")/.." && pwd)
venv="${VENV:-$root/.venv}"
case $venv in /*) ;; *) venv="$PWD/$venv" ;; esac
python="${PYTHON:-python3}"
if [ ! -x "$venv/bin/python" ]; then
  "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
    { echo "Python 3.11, 3.12 or 3.13 is needed; $python is $("$python" --version 2>&1). Name another: PYTHON=python3.12 sh $0" >&2; exit 2; }
  "$python" -m venv "$venv"
fi
# Installed again only when what decides about versions has changed.
wanted=$(cat "$root/pyproject.toml" "$root/$lock" | cksum)
if [ "$(cat "$venv/.installed-$lock" 2>/dev/null)" != "$wanted" ]; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r "$root/$lock"
  # Compiled by all cores, without the packages' own tests. Left to the first import, it would never be done where
  # PYTHONDONTWRITEBYTECODE is set, and each start of TensorFlow would take half a minute. What is no Python 3 is passed over.
  "$venv/bin/python" -m compileall -qq -j 0 -x 'site-packages/.*/tests?/' "$venv/lib" || true
  # One environment at a time: each writes the package's egg-info.
  one_at_a_time=""
  command -v flock >/dev/null 2>&1 && one_at_a_time="flock $root/setup.py"
  $one_at_a_time "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e "$root"
  echo "$wanted" > "$venv/.installed-$lock"
fi
