#!/usr/bin/env bash
# Everything the tests need, then the tests. usage: build/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
build/venv.sh postgres,amqp,docker,aws,otel,test
build/needs.sh
pytest=".venv/bin/python -m pytest"
[ $# -eq 0 ] || exec $pytest "$@"
mkdir -p .cache
# other makers' clients are built beside the first tests, and the contract is tried again beside all of them, against replicas of every
# service on PostgreSQL, RabbitMQ and SeaweedFS: first the worker of other makers, which mostly waits
nice -n 19 .venv/bin/python -m tests.support.clients &
ahead=$!
said=.cache/cluster.log
cluster() {
  TCBOX_TEST_CLUSTER=1 $pytest tests/acceptance/test_generic_worker.py && TCBOX_TEST_CLUSTER=1 $pytest tests/acceptance --ignore tests/acceptance/test_generic_worker.py
}
set -m # a group of its own, so that all of it ends with this
cluster > $said 2>&1 &
beside=$!
set +m
trap 'kill $ahead 2>/dev/null || true; kill -INT -- -$beside 2>/dev/null || true; wait $beside || true' EXIT
# side by side: small ones one by one; those with whole instances by file, three at a time, for they wait for much
$pytest tests/unit tests/contract -n 2
$pytest tests/acceptance tests/scale -n 3 --dist loadfile --no-loadscope-reorder --durations 15 --durations-min 5
wait $beside || { cat $said; exit 1; }
cat $said
