#!/bin/sh
# All tests on a fresh machine: environment, style, types, tests. Further arguments go to pytest.
set -eu
extras="[test]"
. "$(dirname "$0")/setup.sh"
cd "$root"
# A C and a C++ compiler build the emitted files; where they are missing and cannot be had, their tests are skipped.
if ! { command -v gcc && command -v g++; } >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  { apt-get update -q && apt-get install -y -q --no-install-recommends gcc g++ libc6-dev; } >/dev/null 2>&1 || true
fi
# Chips are emulated where the toolchain is there or can be had.
if ! { command -v arm-none-eabi-gcc && command -v qemu-system-arm && command -v make && command -v clang; } >/dev/null 2>&1 \
  && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  { apt-get update -q && apt-get install -y -q --no-install-recommends gcc-arm-none-eabi libnewlib-arm-none-eabi \
    qemu-system-arm make clang cmake; } >/dev/null 2>&1 || true
fi
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m pytest -n 2 --dist loadfile -m "not slow" "$@"
