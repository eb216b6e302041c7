#!/usr/bin/env bash
# Everything the tests need, then the tests. usage: build/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
build/venv.sh postgres,amqp,docker,aws,otel,test
build/needs.sh
pytest=".venv/bin/python -m pytest"
[ $# -eq 0 ] || exec $pytest "$@"
mkdir -p .cache
# other makers' clients are built beside the first tests, and one of them, a worker that mostly waits, is tried against a cluster
nice -n 19 .venv/bin/python -m tests.support.clients &
ahead=$!
said=.cache/cluster.log
TCBOX_TEST_CLUSTER=1 $pytest tests/acceptance/test_generic_worker.py > $said 2>&1 &
waits=$!
trap 'kill $ahead 2>/dev/null || true; kill -INT $waits 2>/dev/null || true; wait $waits || true' EXIT
# side by side: small ones one by one; those with whole instances by file, three at a time, for they wait for much
$pytest tests/unit tests/contract -n 2
$pytest tests/acceptance tests/scale -n 3 --dist loadfile --no-loadscope-reorder --durations 15 --durations-min 5
# the contract again, against replicas of every service on PostgreSQL, RabbitMQ and SeaweedFS
wait $waits || { cat $said; exit 1; }
cat $said
TCBOX_TEST_CLUSTER=1 $pytest tests/acceptance --ignore tests/acceptance/test_generic_worker.py
