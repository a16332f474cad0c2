#!/bin/sh
# Installs what only the tests need from Debian's packages: MariaDB, PgBouncer, Firebird, RabbitMQ, Mosquitto, Chromium
# and a Chinese font.
# With the argument ha also HAProxy, keepalived, nginx, curl and ip, for `make ha-test`.
# Where apt or root is missing the tests that need them say so and are skipped; in CI that is a failure.
set -eu
missing=""
command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || missing="$missing mariadb-server"
command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || missing="$missing pgbouncer"
find /usr/lib -path '*firebird*' -name 'libEngine1*.so' 2>/dev/null | grep -q . || missing="$missing firebird3.0-server-core libfbclient2"
[ -d /usr/lib/rabbitmq ] || missing="$missing rabbitmq-server"
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing="$missing mosquitto"
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing="$missing chromium"
[ -n "$(find /usr/share/fonts -iname '*notosanscjk*' -print -quit 2>/dev/null)" ] || missing="$missing fonts-noto-cjk"
if [ "${1:-}" = ha ]; then  # the machines of a cluster
  for program in haproxy keepalived nginx curl; do
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing="$missing $program"
  done
  command -v ip >/dev/null || missing="$missing iproute2"
fi
[ -n "$missing" ] || exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing for the tests:$missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086 # one word a package
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
elif [ "${CI:-}" = true ]; then
  echo "Missing for the tests:$missing. Install these packages." >&2
  exit 1
else
  echo "Not installed:$missing. The tests that need them are skipped."
fi
