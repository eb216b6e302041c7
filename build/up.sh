#!/usr/bin/env bash
# Start an instance in the background and say how to connect.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/tcbox ] && [ -e .venv/.installed-for ] && grep -q "$(cksum <pyproject.toml)" .venv/.installed-for || build/venv.sh docker
.venv/bin/python -m compileall -q tcbox services workers
exec .venv/bin/tcbox up --detach ${ARGS:-}
