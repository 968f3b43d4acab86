#!/usr/bin/env bash
# env.sh [lock]: makes .venv exactly as requirements.lock says, with the five packages editable.
# `env.sh lock` resolves the pyproject files again into requirements.lock.
# Does nothing when neither the lock, a pyproject nor the place of the checkout has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(libs/common services/ingest services/compute services/share tools)
STAMP=.venv/.peerview-env
export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=${UV_LINK_MODE:-copy}

say() { printf '[env] %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

find_python() { # prints the path of an interpreter that is new enough
  local c
  for c in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    "$c" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys.executable)' 2>/dev/null && return 0
  done
  return 1
}

find_uv() { # prints the path of uv: the one on PATH, or one of our own in .cache
  if uv --version >/dev/null 2>&1; then echo uv; return 0; fi
  if ! .cache/uv-venv/bin/uv --version >/dev/null 2>&1; then
    say "no uv on PATH: installing it into .cache/uv-venv"
    rm -rf .cache/uv-venv
    "$1" -m venv .cache/uv-venv >&2 || { say "python's venv module is missing (Debian: python3-venv); or install uv"; return 1; }
    .cache/uv-venv/bin/python -m pip install -q --disable-pip-version-check 'uv>=0.5' >&2
  fi
  echo .cache/uv-venv/bin/uv
}

lock() {
  local p without=()
  for p in common ingest compute share tools; do without+=(--no-emit-package "peerview-$p"); done
  "$1" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --no-emit-find-links --group dev "${without[@]}" -o requirements.lock "${@:2}" pyproject.toml
  say "requirements.lock: $(grep -cE '^[a-z0-9]' requirements.lock) packages"
}

fingerprint() { # of all that decides what .venv must hold
  { echo "$PWD" "$1"; cat requirements.lock tools/env.sh "${PACKAGES[@]/%//pyproject.toml}"; } | cksum
}

make_env() {
  local uv=$1 python=$2 p editable=() t0=$SECONDS
  [ -x .venv/bin/python ] || "$uv" venv -q --python "$python" .venv
  export VIRTUAL_ENV=$PWD/.venv
  say "installing $(grep -cE '^[a-z0-9]' requirements.lock) locked packages into .venv"
  # compiled once here: where PYTHONDONTWRITEBYTECODE is set (images and CI machines like to), every
  # start of a service would compile all it imports again, and take twice as long
  "$uv" pip sync -q --require-hashes --compile-bytecode requirements.lock
  for p in "${PACKAGES[@]}"; do editable+=(-e "$p"); done
  # hatchling is in the lock too, so that nothing unlocked is fetched to build these
  "$uv" pip install -q --no-deps --no-build-isolation "${editable[@]}"
  fingerprint "$python" >"$STAMP"
  say "ready in $((SECONDS - t0)) s: .venv/bin/peerview"
}

mkdir -p .cache
# two `make` at once in one checkout take turns, where flock exists
if command -v flock >/dev/null; then exec 9>.cache/env.lock; flock 9; fi

python=$(find_python) || die "Peerview needs Python 3.11 or newer; found: $(python3 --version 2>&1 || true). Set PYTHON=/path/to/python3.11"
if [ "${1:-}" = lock ]; then
  uv=$(find_uv "$python"); lock "$uv" "${@:2}"
elif [ -x .venv/bin/python ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$(fingerprint "$python")" ]; then
  :
else
  uv=$(find_uv "$python")
  make_env "$uv" "$python"
fi
