#!/bin/sh
# The longer tests: whole runs on real recordings, and every default test.
set -eu
lock=requirements-test.lock
. "$(dirname "$0")/setup.sh"
cd "$root"
. scripts/toolchain.sh
# Large, and of the longer tests alone.
install_where_missing "riscv64-unknown-elf-gcc qemu-system-riscv32" gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf \
  qemu-system-misc
install_where_missing "xtensa-lx106-elf-gcc qemu-system-xtensa" gcc-xtensa-lx106 picolibc-xtensa-lx106-elf qemu-system-misc
"$venv/bin/python" -m pytest -n 2 --dist loadfile "$@"
