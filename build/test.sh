#!/usr/bin/env bash
# Everything the tests need, then the tests. usage: build/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
build/venv.sh postgres,amqp,docker,aws,otel,test
build/needs.sh
pytest=".venv/bin/python -m pytest"
[ $# -eq 0 ] || exec $pytest "$@"
# small ones side by side; whole instances one after another, so that none waits for another's processor
$pytest tests/unit tests/contract -n 2
$pytest tests/acceptance tests/scale
