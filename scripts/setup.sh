# Sourced by the other scripts: a virtual environment with the tested versions. Usage: extras=[test]; . scripts/setup.sh
root=$(cd "$(dirname "$0")/.." && pwd)
venv="$root/.venv"
if [ ! -x "$venv/bin/python" ]; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 2; }
  python3 -m venv "$venv"
fi
# Installed anew only when what decides about versions has changed.
wanted=$(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)
if [ "$(cat "$venv/.installed$extras" 2>/dev/null)" != "$wanted" ]; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" -e "$root$extras"
  echo "$wanted" > "$venv/.installed$extras"
fi
