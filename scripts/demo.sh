#!/bin/sh
# The main job on a fresh machine: simulate a bearing rig, distill a detector, verify it in TFLite Micro, emit its firmware.
set -eu
lock=requirements.lock
. "$(dirname "$0")/setup.sh"
cd "$root"
"$venv/bin/keras-kd" run --out "${1:-runs/demo}" --force
