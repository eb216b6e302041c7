#!/usr/bin/env bash
# Measure speed and memory; see build/bench/main.py for the options.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=docker
case " $* " in *" --replicas "*) extras=postgres,amqp,docker,aws,otel,test ;; esac
build/venv.sh "$extras"
exec .venv/bin/python build/bench/main.py "$@"
