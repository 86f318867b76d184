#!/usr/bin/env bash
# Makes sure that commands which the tests need are there, and installs the Debian packages that bring them where
# they are not. Says what it does. Usage: debian-packages.sh COMMAND=PACKAGE...
set -euo pipefail

missing=()
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "packages: the tests need ${missing[*]}, which this machine lacks"
if ! command -v apt-get >/dev/null; then
  echo "packages: no apt-get here; install them by hand and run this again" >&2
  exit 1
fi
become=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "packages: not root and no sudo; run: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  become=(sudo)
fi

# Debian starts a server as soon as it is installed. The tests start their own on free ports, and a Redis on 6379
# would stand where `quord serve` listens by default.
quiet_service() {
  [ -d /run/systemd/system ] || return 0
  echo "packages: stopping and disabling the service $1, which its installation has started"
  "${become[@]}" systemctl disable --now "$1" || echo "packages: could not stop $1; port conflicts are possible" >&2
}

export DEBIAN_FRONTEND=noninteractive
echo "packages: installing ${missing[*]} with apt-get"
"${become[@]}" apt-get update -qq
"${become[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
for package in "${missing[@]}"; do
  case $package in
    redis-server) quiet_service redis-server ;;
    etcd-server) quiet_service etcd ;;
  esac
done
echo "packages: installed ${missing[*]}"
