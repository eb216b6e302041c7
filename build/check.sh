#!/usr/bin/env bash
# Lint, formatting, types, import contracts.
set -euo pipefail
cd "$(dirname "$0")/.."
build/venv.sh postgres,amqp,docker,aws,otel,test,check
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/lint-imports --no-cache
.venv/bin/python build/reference.py --check
