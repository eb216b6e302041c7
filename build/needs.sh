#!/usr/bin/env bash
# What the tests need besides Python: a Docker engine, PostgreSQL's server programs, RabbitMQ, busybox for images,
# Chromium, and what drives it, curl, ip for hosts in network namespaces; Go, Node and Rust. SeaweedFS, an S3 server, comes with the extra `test`.
# Installed here when this is Debian and we are root; otherwise what is missing is named, and in CI that is an error.
set -euo pipefail
missing=()
have_postgres() { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
command -v dockerd >/dev/null || missing+=(docker.io)
have_postgres || missing+=(postgresql)
command -v rabbitmq-server >/dev/null || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
command -v busybox >/dev/null && busybox 2>&1 | grep -q BusyBox && ! ldd "$(command -v busybox)" >/dev/null 2>&1 || missing+=(busybox-static)
command -v ip >/dev/null || missing+=(iproute2)
command -v zstd >/dev/null || missing+=(zstd)
command -v debootstrap >/dev/null || missing+=(debootstrap)
command -v chromium >/dev/null || missing+=(chromium)
command -v curl >/dev/null || missing+=(curl)
ldconfig -p 2>/dev/null | grep -q libatomic.so.1 || ls /usr/lib/*/libatomic.so.1 >/dev/null 2>&1 || missing+=(libatomic1)

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]} ..." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Debian starts a PostgreSQL of its own on installation; the tests start theirs, so keep it quiet
    mkdir -p /etc/postgresql-common && [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    # and a RabbitMQ: nothing is started while this installs, unless somebody has a rule of their own for that
    rule=/usr/sbin/policy-rc.d
    if [ ! -e "$rule" ]; then
      printf '#!/bin/sh\nexit 101\n' >"$rule" && chmod 755 "$rule"
      trap 'rm -f "$rule"' EXIT
    fi
    apt-get install -y -qq --no-install-recommends "${missing[@]}" iptables >/dev/null
  else
    echo "NOTE: ${missing[*]} not found: tests that need them are skipped. Install them: sudo apt-get install ${missing[*]}" >&2
    [ -z "${CI:-}" ] || exit 1
  fi
fi

# Tools that build other makers' clients (tests/support/clients.py). Debian's own are too old, so they are only looked for.
tools=()
at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }
command -v go >/dev/null && at_least "$(go env GOVERSION | tr -d 'a-z')" 1.26 || tools+=("go 1.26 or later")
command -v npm >/dev/null && at_least "$(node --version | tr -d v)" 20.11 || tools+=("node 20.11 or later, with npm")
command -v cc >/dev/null && command -v cargo >/dev/null && at_least "$(cargo --version | cut -d' ' -f2)" 1.85 || tools+=("cargo 1.85 or later, with a C compiler")
if [ ${#tools[@]} -gt 0 ]; then
  printf 'NOTE: not found: %s. Tests of the clients that it builds are skipped.\n' "${tools[@]}" >&2
  [ -z "${CI:-}" ] || exit 1
fi

if command -v dockerd >/dev/null && ! docker info >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ]; then
    echo "starting a Docker engine ..." >&2
    mkdir -p .cache
    setsid dockerd >.cache/dockerd.log 2>&1 </dev/null &
    for _ in $(seq 60); do docker info >/dev/null 2>&1 && break; sleep 0.5; done
    if ! docker info >/dev/null 2>&1; then
      echo "the Docker engine did not start; the end of its log:" >&2
      tail -n 5 .cache/dockerd.log >&2
      [ -z "${CI:-}" ] || exit 1
    fi
  else
    echo "NOTE: no Docker engine answers: tests that need one are skipped. Start it: sudo systemctl start docker" >&2
    [ -z "${CI:-}" ] || exit 1
  fi
fi
