#!/bin/sh
# One call of the training of vggt-mini, of many: goes on where the last one stopped.
#
#   benchmarks/train_mini.sh KEEP [CHECKPOINT]
#
# KEEP        folder for what must outlast this machine: weights and their average in files under 16 MB, log, pictures
# CHECKPOINT  weights-00001-of-0000N.safetensors of an earlier KEEP, for a machine that has no runs/vggt-mini/state.pt
#
# Environment: PYTHON (python3), MINUTES of this call (8.5), TOTAL_MINUTES of the schedule (26),
# CONFIG (benchmarks/training/vggt_mini.toml), VALIDATE: folders with a truth.json, separated by spaces, to report on
# and never to train on.
set -eu
cd "$(dirname "$0")/.."
keep=$1
checkpoint=${2:-}
mkdir -p "$keep" runs/vggt-mini
export TORCHINDUCTOR_CACHE_DIR="${TORCHINDUCTOR_CACHE_DIR:-$PWD/runs/compiled}"

config=runs/vggt-mini/config.toml
folders=$(for folder in ${VALIDATE:-}; do printf '"%s", ' "$folder"; done)
sed -e "s|^total_minutes = .*|total_minutes = ${TOTAL_MINUTES:-26.0}|" \
    -e "s|^minutes = .*|minutes = ${MINUTES:-8.5}|" \
    -e "s|^\[validation\]|[validation]\nfolders = [$folders]|" \
    -e "s|^architecture = .*|&\ncheckpoint = \"$checkpoint\"\ncontinue_schedule = true|" \
    "${CONFIG:-benchmarks/training/vggt_mini.toml}" > "$config"

status=0
"${PYTHON:-python3}" -m vggt_blender train "$config" || status=$?
cp runs/vggt-mini/export/* "$keep"/ 2>/dev/null || true
cp runs/vggt-mini/log.jsonl "$keep"/ 2>/dev/null || true
cp runs/vggt-mini/validation_generated.jpg "$keep"/ 2>/dev/null || true
ls -l "$keep"
exit $status
