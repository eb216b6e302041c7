#!/bin/sh
# Lays the packages that constraints.txt names into packaging/docker/wheels, for builds that reach no registry. Run by a
# Python of the same version as the base image's. usage: packaging/docker/wheels.sh [PYTHON]
set -eu
cd "$(dirname "$0")/../.."
python=${1:-python3}
rm -rf packaging/docker/wheels
mkdir -p packaging/docker/wheels
"$python" -m pip wheel --quiet --disable-pip-version-check --wheel-dir packaging/docker/wheels -c packaging/docker/constraints.txt ".[postgres,amqp,aws,docker,otel]" "hatchling>=1.25"
rm -f packaging/docker/wheels/tcbox-*.whl
