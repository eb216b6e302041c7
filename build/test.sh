#!/usr/bin/env bash
# Everything the tests need, then the tests. usage: build/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
build/venv.sh postgres,amqp,docker,aws,otel,test
build/needs.sh
pytest=".venv/bin/python -m pytest"
[ $# -eq 0 ] || exec $pytest "$@"
# side by side on two processors: small ones one by one, those with whole instances by file, those with Docker in one row
$pytest tests/unit tests/contract -n 2
$pytest tests/acceptance tests/scale -n 2 --dist loadgroup
