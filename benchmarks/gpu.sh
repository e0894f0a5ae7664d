#!/usr/bin/env bash
# Everything about the engine that needs a GPU, in less than 8 minutes on one of 2023 or later:
# equality with the definition, speed against the products it can't do without and against the other ways, memory.
#
#     benchmarks/gpu.sh MODEL_FOLDER [PYTHON]
set -euo pipefail
model=${1:?"name a model folder, such as one of 0.5 to 8 billion parameters"}
python=${2:-python3}
cd "$(dirname "$0")/.."
"$python" -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "This torch sees no CUDA device.")'

echo "== equality and speed, bfloat16"
timeout 240 "$python" benchmarks/prefix_scoring.py --model "$model" --device cuda --dtypes bfloat16 \
    --lens 512 2048 8192 --strata 7 --repeats 2
echo "== equality, float32"
timeout 120 "$python" benchmarks/prefix_scoring.py --model "$model" --device cuda --dtypes float32 \
    --lens 512 --strata 7 --repeats 1
echo "== traces and readouts through the command line"
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
"$python" -m raml questions tiny --limit 4 --out "$run"
timeout 60 "$python" -m raml sample "$model" "$run" --n 2 --max-new-tokens 256
timeout 60 "$python" -m raml trace "$run" --readout --readout-tokens 16 --target both --device cuda
