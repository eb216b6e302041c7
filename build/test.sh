#!/usr/bin/env bash
# Everything the tests need, then the tests. usage: build/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
build/venv.sh postgres,docker,aws,test
build/needs.sh
exec .venv/bin/python -m pytest "$@"
