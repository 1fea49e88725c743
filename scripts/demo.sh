#!/bin/sh
# The main job on a fresh machine: simulate a bearing rig, distill a detector, verify it in TFLite Micro, emit its firmware.
# Usage: sh scripts/demo.sh [FOLDER]      A second start reuses the installation, and the run where it is finished or begun.
set -eu
lock=requirements.lock
. "$(dirname "$0")/setup.sh"
cd "$root"
out="${1:-runs/demo}"
echo "Training a detector for a simulated bearing into $out, about three minutes on two idle cores." >&2
watch=""
[ -t 2 ] && watch=--watch
"$venv/bin/keras-kd" run --out "$out" --resume --force $watch
