# Sourced by the other scripts: a virtual environment in .venv with the locked versions, each wheel checked against its hash.
# Usage: lock=requirements.lock; . scripts/setup.sh      PYTHON names the Python to use (3.11 to 3.13), VENV the folder.
# Packages are installed by uv where it is on PATH, which takes less time, and by pip otherwise.
root=$(cd "$(dirname "$0")/.." && pwd)
venv="${VENV:-$root/.venv}"
case $venv in /*) ;; *) venv="$PWD/$venv" ;; esac
python="${PYTHON:-python3}"
# Installed again only when what decides about versions has changed.
wanted=$(cat "$root/pyproject.toml" "$root/$lock" | cksum)
if [ ! -x "$venv/bin/python" ]; then
  "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
    { echo "Python 3.11, 3.12 or 3.13 is needed; $python is $("$python" --version 2>&1). Name another: PYTHON=python3.12 sh $0" >&2; exit 2; }
  "$python" -m venv "$venv"
fi
if [ "$(cat "$venv/.installed-$lock" 2>/dev/null)" != "$wanted" ]; then
  installer=pip
  command -v uv >/dev/null 2>&1 && installer=uv
  echo "Installing $(grep -c '==' "$root/$lock") packages of $lock into $venv with $installer: with TensorFlow, which is most of" >&2
  echo "it, about 1 GB to download and 3 GB on the disk, in a few minutes by network and disk. The next start reuses it." >&2
  quiet=--quiet
  [ -t 2 ] && quiet=""
  # --require-hashes refuses whatever is not in the lock with its hash.
  if [ $installer = uv ]; then
    uv pip install $quiet --python "$venv/bin/python" --require-hashes -r "$root/$lock"
  else
    "$venv/bin/python" -m pip install $quiet --disable-pip-version-check --no-compile --require-hashes -r "$root/$lock"
  fi
  echo "Compiling them for a fast start, about a minute on two cores ..." >&2
  # Compiled by all cores, without the packages' own tests. Left to the first import, it would never be done where
  # PYTHONDONTWRITEBYTECODE is set, and each start of TensorFlow would take half a minute. What is no Python 3 is passed over.
  "$venv/bin/python" -m compileall -qq -j 0 -x 'site-packages/.*/tests?/' "$venv/lib" || true
  # One environment at a time: each writes the package's egg-info.
  one_at_a_time=""
  command -v flock >/dev/null 2>&1 && one_at_a_time="flock $root/setup.py"
  $one_at_a_time "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e "$root"
  echo "$wanted" > "$venv/.installed-$lock"
fi
