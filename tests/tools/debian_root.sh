#!/bin/sh
# SPDX-License-Identifier: MIT
# A command in a small Debian of another release, which has its compiler and its libraries:
#
#   debian_root.sh RELEASE ROOT BUILD COMMAND...     COMMAND runs in the project's folder
#
# ROOT is made by debootstrap where it is not there yet, and kept. BUILD is what COMMAND sees as the project's build/. The mounts are
# those of a mount namespace: they end with COMMAND, and so does every process that it has started. Needs root.
set -eu
release=$1 root=$2 build=$3
shift 3
source=$(pwd)
mkdir -p "$build" "$source/build"
build=$(cd "$build" && pwd)

if [ ! -e "$root/made" ]; then
  mkdir -p "$root"
  rm -rf --one-file-system "$root/new"  # of one that was cut off
  debootstrap --variant=minbase "$release" "$root/new" "${AGAIN_DEBIAN_MIRROR:-http://deb.debian.org/debian}"
  mkdir -p "$root/new/again"
  : >"$root/made"
fi
root=$root/new
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || :

# shellcheck disable=SC2016  # the inner shells expand
exec unshare --mount --pid --fork --kill-child sh -euc '
  root=$1 source=$2 build=$3
  shift 3
  mount --make-rprivate /
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"  # tests need pseudo-terminals
  mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"
  mount -t tmpfs tmpfs "$root/tmp"
  mount --bind "$source" "$root/again"
  mount --bind "$build" "$root/again/build"
  exec chroot "$root" env -i PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb CCACHE_DIR=/again/build/ccache \
    sh -euc "cd /again; \"\$@\"" sh "$@"
' sh "$root" "$source" "$build" "$@"
