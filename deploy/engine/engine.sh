#!/usr/bin/env bash
# engine.sh up|down|env|status: a container engine where there is only the docker command.
#
# Where `docker info` works already, every command steps aside. Otherwise `up` (as root, on Debian)
# unpacks the distribution's dockerd, containerd and runc below ENGINE_HOME, installing no service,
# and runs them on a socket of their own; published ports bind to 127.0.0.1. `down` ends only what
# `up` started, known by process id and start time, and takes its network settings back.
#
#   ENGINE_HOME                  default ~/.cache/peerview-engine: programs, images, logs
#   eval "$(./engine.sh env)"    exports DOCKER_HOST and what testcontainers needs
set -Eeuo pipefail

ENGINE_HOME=${ENGINE_HOME:-$HOME/.cache/peerview-engine}
mkdir -p "$ENGINE_HOME"; ENGINE_HOME=$(cd "$ENGINE_HOME" && pwd -P)
PROGRAMS=$ENGINE_HOME/programs
LOG=$ENGINE_HOME/dockerd.log
IDENTITY=$ENGINE_HOME/dockerd.identity           # "<pid> <start time>"
NETWORK=$ENGINE_HOME/network.before              # what dockerd will change in the kernel
# a socket's path must be short, and gone after a reboot
RUN=/run/peerview-engine-$(printf %s "$ENGINE_HOME" | cksum | cut -d' ' -f1)
SOCKET=$RUN/docker.sock
UNPACKED=(docker.io containerd runc tini)
INSTALLED=(iptables libseccomp2 libdevmapper1.02.1 libsystemd0 iproute2)   # none runs a service
export PATH=$PATH:/usr/sbin:/sbin

say() { printf '[engine] %s\n' "$*" >&2; }

foreign_engine() { [ "${DOCKER_HOST:-}" != "unix://$SOCKET" ] && timeout 10 docker info >/dev/null 2>&1; }
docker_here() { DOCKER_HOST=unix://$SOCKET timeout 20 docker "$@"; }

start_time() { # of a process that runs; a zombie counts as gone
  sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" {print $20}'
}
our_pid() { # the pid of the dockerd that `up` started, if it lives
  local pid started
  [ -s "$IDENTITY" ] && read -r pid started <"$IDENTITY" && [ -n "$started" ] &&
    [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}
alive() { our_pid >/dev/null && docker_here version >/dev/null 2>&1; }

get_programs() {
  local package missing=() scratch
  for package in "${INSTALLED[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && [ -e "$PROGRAMS/complete" ] && return 0
  apt-get update -qq
  if [ ${#missing[@]} != 0 ]; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  fi
  [ ! -e "$PROGRAMS/complete" ] || return 0
  scratch=$ENGINE_HOME/unpack; rm -rf "$scratch" "$PROGRAMS"; mkdir -p "$scratch" "$PROGRAMS"
  chmod 777 "$scratch"                           # apt drops its rights to download
  (cd "$scratch" && apt-get download -qq "${UNPACKED[@]}")
  for package in "$scratch"/*.deb; do dpkg-deb -x "$package" "$scratch/root"; done
  cp "$scratch"/root/usr/sbin/{dockerd,docker-proxy,runc} "$PROGRAMS/"
  cp "$scratch"/root/usr/bin/{containerd,containerd-shim-runc-v2} "$PROGRAMS/"
  cp "$scratch/root/usr/bin/tini-static" "$PROGRAMS/docker-init"
  rm -rf "$scratch"
  touch "$PROGRAMS/complete"
}

start() {
  local pid _
  mkdir -p "$RUN"
  # ours is not alive, so these are from one that was killed and would mislead the next
  rm -f "$SOCKET" "$RUN/docker.pid" "$RUN/exec/containerd/containerd.pid"
  [ -s "$NETWORK" ] ||
    echo "$(cat /proc/sys/net/ipv4/ip_forward) $(iptables -S FORWARD | awk '/^-P/ {print $3}')" >"$NETWORK"
  PATH=$PROGRAMS:$PATH setsid "$PROGRAMS/dockerd" --host "unix://$SOCKET" --data-root "$ENGINE_HOME/data" \
    --exec-root "$RUN/exec" --pidfile "$RUN/docker.pid" --exec-opt native.cgroupdriver=cgroupfs \
    --ip 127.0.0.1 --init=false --log-level warn </dev/null >>"$LOG" 2>&1 &
  pid=$!
  echo "$pid $(start_time "$pid")" >"$IDENTITY"
  for _ in $(seq 150); do
    docker_here version >/dev/null 2>&1 && return 0
    [ -n "$(start_time "$pid")" ] || break
    sleep 0.2
  done
  say "dockerd did not come up; the end of $LOG:"; tail -15 "$LOG" >&2
  return 1
}

up() {
  if ! command -v docker >/dev/null; then say "there is no docker command here"; return 1; fi
  if foreign_engine; then say "an engine answers already"; return 0; fi
  if alive; then say "up already at $SOCKET"; return 0; fi
  if [ "$(id -u)" != 0 ]; then say "needs root, or an engine of this machine's own"; return 1; fi
  if ! command -v apt-get >/dev/null; then say "knows only Debian's packages"; return 1; fi
  say "fetching dockerd where it is not here yet (log: $ENGINE_HOME/get.log)"
  trap 'tail -20 "$ENGINE_HOME/get.log" >&2' ERR
  get_programs >"$ENGINE_HOME/get.log" 2>&1      # an `||` would switch errexit off inside
  trap - ERR
  start
  say "up: Docker $(docker_here version -f '{{.Server.Version}}') at $SOCKET"
}

down() { # containers first, then dockerd and with it containerd, then what they left behind
  local pid containers rule table mount _
  if ! pid=$(our_pid); then say "not up"; rm -f "$IDENTITY" "$SOCKET"; return 0; fi
  containers=$(docker_here ps -aq 2>/dev/null || true)
  # shellcheck disable=SC2086 - one word an id
  [ -z "$containers" ] || docker_here rm -fv $containers >/dev/null 2>&1 || true
  docker_here network prune -f >/dev/null 2>&1 || true
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 150); do [ -n "$(start_time "$pid")" ] || break; sleep 0.1; done
  [ -z "$(start_time "$pid")" ] || kill -9 "$pid" 2>/dev/null || true
  awk -v a="$ENGINE_HOME/data" -v b="$RUN" 'index($2, a) == 1 || index($2, b) == 1 {print $2}' /proc/mounts |
    sort -r | while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
  ip link del docker0 2>/dev/null || true
  for table in filter nat; do
    # shellcheck disable=SC2086 - a rule is several words
    { iptables -t $table -S 2>/dev/null | sed -n 's/^-A \(.*\(DOCKER\|docker0\).*\)/\1/p' |
        while read -r rule; do iptables -t $table -D $rule 2>/dev/null || true; done
      iptables -t $table -S 2>/dev/null | sed -n 's/^-N \(DOCKER.*\)/\1/p' |
        while read -r rule; do iptables -t $table -F "$rule"; iptables -t $table -X "$rule"; done; } || true
  done
  if [ -s "$NETWORK" ]; then
    read -r forward policy <"$NETWORK"
    echo "$forward" >/proc/sys/net/ipv4/ip_forward || true
    iptables -P FORWARD "$policy" || true
  fi
  rm -f "$NETWORK" "$IDENTITY" "$SOCKET"
  say "down"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  status) if foreign_engine; then echo foreign; elif alive; then echo "ours $SOCKET"; else echo down; exit 1; fi ;;
  env)
    if ! foreign_engine; then
      echo "export DOCKER_HOST=unix://$SOCKET"
      echo "export DOCKER_BUILDKIT=0"                           # this engine has no buildx
      echo "export TESTCONTAINERS_RYUK_DISABLED=true"           # the reaper's image cannot be pulled
      echo "export TESTCONTAINERS_CONNECTION_MODE=docker_host"  # a /.dockerenv file would mislead it
      echo "export TESTCONTAINERS_HOST_OVERRIDE=127.0.0.1"      # where published ports are
    fi ;;
  *) echo "usage: $0 up|down|env|status" >&2; exit 2 ;;
esac
