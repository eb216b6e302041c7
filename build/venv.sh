#!/usr/bin/env bash
# Make .venv with tcbox and the given extras installed, bytecode compiled. usage: build/venv.sh [extra,extra...]
set -euo pipefail
cd "$(dirname "$0")/.."
extras=${1:-}
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "tcbox needs Python 3.11 or later, and $python is $("$python" -V 2>&1). Set PYTHON to a newer one: make PYTHON=python3.12 ..." >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
  else
    echo "Python's venv module is missing. Install it: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi

stamp=.venv/.installed-for
want="$extras $(cat pyproject.toml | cksum)"
if [ ! -x .venv/bin/python ]; then
  "$python" -m venv .venv
fi
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
  echo "installing tcbox${extras:+ with $extras} into .venv ..." >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}"
  echo "$want" >"$stamp"
fi
# written here, since an interpreter told not to write bytecode would compile at every start
.venv/bin/python -m compileall -q tcbox services workers
