#!/usr/bin/env bash
# Start an instance in the background and say how to connect.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(cat .venv/.installed-for 2>/dev/null | cut -d' ' -f2-)" != "$(cksum <pyproject.toml)" ]; then
  build/venv.sh docker
fi
.venv/bin/python -m compileall -q tcbox services workers
folder='from tcbox import config; from tcbox.cli.config import chosen; print(config.load(chosen(None)).data)'
if [ -z "${ARGS:-}" ] && data=$(.venv/bin/python -c "$folder" 2>/dev/null) && .venv/bin/tcbox status --data "$data" 2>/dev/null; then
  echo "it was running already"
else
  .venv/bin/tcbox up --detach ${ARGS:-}
fi
