#!/usr/bin/env bash
# dist/tcbox: one file that needs no Python, made by PyInstaller.
set -euo pipefail
cd "$(dirname "$0")/.."
build/venv.sh postgres,amqp,docker,binary
.venv/bin/python -m PyInstaller --noconfirm --log-level WARN --distpath dist --workpath .cache/pyinstaller packaging/tcbox.spec
ls -l dist/tcbox
