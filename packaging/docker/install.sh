#!/bin/sh
# Installs tcbox with what services on their own need into a folder; run by the Dockerfile. usage: install.sh FOLDER
set -eu
folder=$1
python3 -m venv /src/pip
python3 -m venv --without-pip "$folder"
mkdir -p /src/found/wheels
mv /src/found/*.whl /src/found/wheels/ 2>/dev/null || true
mv /src/found/pyproject.toml /src/found/README.md /src/
offline=""
[ -z "$(ls /src/found/wheels)" ] || offline="--no-index --find-links /src/found/wheels"
# shellcheck disable=SC2086
/src/pip/bin/pip --python "$folder/bin/python" install --no-compile $offline -c /src/found/constraints.txt "/src[postgres,amqp,aws,docker,otel]"
# what no process reads
find "$folder" -name '__pycache__' -prune -exec rm -rf {} +
find "$folder" -path '*/site-packages/*' \( -name 'tests' -o -name 'test' \) -type d -prune -exec rm -rf {} +
find "$folder" \( -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' -o -name '*.pyi' \) -type f -exec rm -f {} +
rm -f "$folder"/lib/python3*/site-packages/zstandard/_cffi*
# botocore brings the description of every service of Amazon's; S3 and STS are called
data=$(ls -d "$folder"/lib/python3*/site-packages/botocore/data)
find "$data" -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name ec2 ! -name iam -exec rm -rf {} +
# compiled once, by content rather than by time, so that the same sources make the same files
"$folder/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$folder"/lib
find "$folder" -exec touch -h -d "@${SOURCE_DATE_EPOCH}" {} +
