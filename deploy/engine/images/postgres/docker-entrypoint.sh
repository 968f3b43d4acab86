#!/bin/bash
# Makes the database the first time, runs the scripts of /docker-entrypoint-initdb.d, then serves.
set -euo pipefail
if [ "${1:-postgres}" != postgres ] && [ "${1#-}" = "$1" ]; then exec "$@"; fi
[ "${1:-}" != postgres ] || shift
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"; chown -R postgres:postgres "$PGDATA"; chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" postgres "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=${POSTGRES_USER:-postgres} database=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
  : "${POSTGRES_PASSWORD:?must be set for a new database}"
  initdb -D "$PGDATA" --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local=trust --auth-host=scram-sha-256 -E UTF8 --no-sync
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  # not on the network yet: whoever waits for the port must find it complete
  pg_ctl -D "$PGDATA" -w -s -o "-c listen_addresses='' -c fsync=off" start
  [ "$database" = postgres ] || createdb -U "$user" --maintenance-db=postgres "$database"
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh) bash "$script" ;;
      *.sql) psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$user" -d "$database" -f "$script" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -w -s -m fast stop
  echo; echo "PostgreSQL init process complete; ready for start up."; echo
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' "$@"
