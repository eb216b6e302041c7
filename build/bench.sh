#!/usr/bin/env bash
# Measure speed and memory; see build/bench/main.py for the options.
set -euo pipefail
cd "$(dirname "$0")/.."
build/venv.sh docker
exec .venv/bin/python build/bench/main.py "$@"
