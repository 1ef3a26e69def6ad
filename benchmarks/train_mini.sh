#!/bin/sh
# One call of the training of vggt-mini, of many: goes on where the last one stopped.
#
#   benchmarks/train_mini.sh KEEP [CHECKPOINT]
#
# KEEP        folder for what must outlast this machine, brought up to date at every save: weights and their average in
#             files under 16 MB, log, pictures
# CHECKPOINT  weights-00001-of-0000N.safetensors of an earlier KEEP, for a machine that has no runs/vggt-mini/state.pt
#
# Environment: PYTHON (python3), MINUTES of this call, compilation included (24), TOTAL_MINUTES of the schedule over all
# calls, without compilation (0: it ends with this call), CONFIG (benchmarks/training/vggt_mini.toml), VALIDATE: folders with
# a truth.json, separated by spaces, to report on and never to train on.
set -eu
cd "$(dirname "$0")/.."
keep=$1
checkpoint=${2:-}
mkdir -p "$keep" runs/vggt-mini
export TORCHINDUCTOR_CACHE_DIR="${TORCHINDUCTOR_CACHE_DIR:-$PWD/runs/compiled}"

config=runs/vggt-mini/config.toml
folders=$(for folder in ${VALIDATE:-}; do printf '"%s", ' "$folder"; done)
sed -e "s|^total_minutes = .*|total_minutes = ${TOTAL_MINUTES:-0.0}|" \
    -e "s|^minutes = .*|minutes = ${MINUTES:-24.0}|" \
    -e "s|^output = .*|&\nkeep = \"$keep\"|" \
    -e "s|^\[validation\]|[validation]\nfolders = [$folders]|" \
    -e "s|^architecture = .*|&\ncheckpoint = \"$checkpoint\"\ncontinue_schedule = true|" \
    "${CONFIG:-benchmarks/training/vggt_mini.toml}" > "$config"

exec "${PYTHON:-python3}" -m vggt_blender train "$config"
