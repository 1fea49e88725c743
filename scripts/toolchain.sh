# Run by test.sh and nightly.sh while they set up Python: what tests build, emulate and look at pages with. Where it is missing and
# cannot be had, those tests are skipped and say so.
updated=""
# Usage: sh toolchain.sh [nightly]
# install_where_missing "COMMAND ..." PACKAGE ...
install_where_missing() {
  for needed in $1; do
    if ! command -v "$needed" >/dev/null 2>&1; then
      shift
      if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        [ -n "$updated" ] || apt-get update -q >/dev/null 2>&1 || true
        updated=yes
        apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1 || true
      fi
      return
    fi
  done
}
install_where_missing "gcc g++" gcc g++ libc6-dev
install_where_missing "arm-none-eabi-gcc qemu-system-arm make clang cmake" gcc-arm-none-eabi libnewlib-arm-none-eabi \
  qemu-system-arm make clang cmake
install_where_missing "avr-gcc simavr" gcc-avr avr-libc simavr
install_where_missing "chromium chromedriver" chromium chromium-driver
if [ "${1:-}" = nightly ]; then
  install_where_missing "cppcheck" cppcheck
  install_where_missing "riscv64-unknown-elf-gcc qemu-system-riscv32" gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf \
    qemu-system-misc
  install_where_missing "xtensa-lx106-elf-gcc qemu-system-xtensa" gcc-xtensa-lx106 picolibc-xtensa-lx106-elf qemu-system-misc
fi
