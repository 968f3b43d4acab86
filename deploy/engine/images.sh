#!/usr/bin/env bash
# images.sh: builds stand-ins for apache/kafka:4.1.1 and postgres:15 in the engine of engine.sh, for
# machines that cannot pull the official ones. Kafka's jars come from Maven Central, Java and
# PostgreSQL from Debian. On an engine of the machine's own it does nothing: that one pulls.
# An image of that name that was pulled, or built here from these very files, is left alone.
set -Eeuo pipefail
HERE=$(cd "$(dirname "$0")" && pwd -P)
ENGINE_HOME=${ENGINE_HOME:-$HOME/.cache/peerview-engine}
WORK=$ENGINE_HOME/build
mkdir -p "$WORK"; WORK=$(cd "$WORK" && pwd -P)

say() { printf '[images] %s\n' "$*" >&2; }
fingerprint() { find "$@" -type f -print0 | sort -z | xargs -0 cat | sha256sum | cut -c1-16; }
there() { # IMAGE FINGERPRINT: pulled, or built from these files
  local label
  label=$(docker image inspect -f '{{index .Config.Labels "peerview.standin"}}' "$1" 2>/dev/null) || return 1
  [ -z "$label" ] || [ "$label" = "<no value>" ] || [ "$label" = "$2" ]
}

tree() { # a Debian tree of unpacked packages: no maintainer script runs, nothing is installed here
  local archives=$WORK/archives root=$WORK/root deb
  rm -rf "$root"; mkdir -p "$archives/partial"; : >"$WORK/status"
  apt-get -qq -y --download-only --no-install-recommends -o Dir::State::status="$WORK/status" \
    -o Dir::Cache::archives="$archives" -o Debug::NoLocking=1 install base-files libc-bin bash dash coreutils \
    sed grep findutils hostname util-linux openjdk-17-jre-headless postgresql-15
  mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{proc,sys,dev,run,root,etc,home/appuser}
  mkdir -m 1777 "$root/tmp"
  for deb in bin sbin lib lib64; do ln -s "usr/$deb" "$root/$deb"; done
  for deb in "$archives"/*.deb; do
    case ${deb##*/} in
      libllvm*|libz3*|perl*|libperl*|*-perl_*|locales*|libc-l10n*|dpkg_*|debconf*|adduser*|passwd_*|usrmerge*) continue ;;
      postgresql-common*|ssl-cert*|fonts-*|tzdata-java*) continue ;;
    esac
    dpkg-deb --fsys-tarfile "$deb" | tar -C "$root" -x --keep-directory-symlink --no-same-owner \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
      --exclude='./usr/share/postgresql/*/man/*' --exclude='./usr/lib/postgresql/*/lib/bitcode/*' \
      --exclude='./usr/lib/postgresql/*/lib/llvmjit*'
  done
  ln -sf dash "$root/usr/bin/sh"
  ln -sf "$(cd "$root" && echo /usr/lib/jvm/java-17-openjdk-*/bin/java | sed "s|$root||")" "$root/usr/bin/java"
  cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/bash
postgres:x:999:999::/var/lib/postgresql:/bin/bash
appuser:x:1000:1000::/home/appuser:/bin/bash
nobody:x:65534:65534::/:/bin/false
PASSWD
  printf 'root:x:0:\npostgres:x:999:\nappuser:x:1000:\nnogroup:x:65534:\n' >"$root/etc/group"
  chown -R 1000:1000 "$root/home/appuser"
  ldconfig -r "$root"
}

base() {
  there peerview/standin-base:1 "$BASE" && return 0
  say "unpacking a small Debian (once)"
  trap 'tail -20 "$WORK/tree.log" >&2' ERR
  tree >"$WORK/tree.log" 2>&1                    # an `||` would switch errexit off inside
  trap - ERR
  tar -C "$WORK/root" -c . | docker import --change "LABEL peerview.standin=$BASE" - peerview/standin-base:1 >/dev/null
  rm -rf "$WORK/root" "$WORK/archives"
}
build() { # IMAGE DIRECTORY FINGERPRINT
  say "building $1"
  docker build -q --label "peerview.standin=$3" -t "$1" "$2" >/dev/null 2>"$WORK/build.log" || { tail -20 "$WORK/build.log" >&2; return 1; }
}

if [ "$("$HERE/engine.sh" status)" = foreign ]; then
  say "this machine's own engine answers: it pulls the official images"; exit 0
fi
export DOCKER_BUILDKIT=0
BASE=$(fingerprint "$HERE/images.sh")
KAFKA=$BASE$(fingerprint "$HERE/images/kafka")
POSTGRES=$BASE$(fingerprint "$HERE/images/postgres")
if ! there apache/kafka:4.1.1 "$KAFKA"; then
  base
  rm -rf "$WORK/kafka"; cp -r "$HERE/images/kafka" "$WORK/kafka"
  mvn -q -B -Dstyle.color=never -f "$WORK/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$WORK/kafka/libs" >"$WORK/maven.log" || { tail -20 "$WORK/maven.log" >&2; exit 1; }
  build apache/kafka:4.1.1 "$WORK/kafka" "$KAFKA"
fi
if ! there postgres:15 "$POSTGRES"; then
  base
  build postgres:15 "$HERE/images/postgres" "$POSTGRES"
fi
say "apache/kafka:4.1.1 and postgres:15 are there"
