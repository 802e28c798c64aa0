#!/bin/sh
# Names what this computer lacks, and the command that installs it.
#
#   need.sh PYTHON [PROGRAM ...]             what is needed to install; PROGRAMs are servers and tools that tests use
#   need.sh --packages PYTHON [PROGRAM ...]  only the names of the missing Debian or Ubuntu packages, on one line
#
# Exit code 1 if something to install is missing. A missing PROGRAM is only named: the tests that need it skip and say so,
# unless CI is set, where nothing may skip for want of a package.
set -eu

list_only=no
if [ "${1:-}" = --packages ]; then
    list_only=yes
    shift
fi
python=${1:?usage: need.sh [--packages] PYTHON [PROGRAM ...]}
shift
# Debian keeps servers where an ordinary user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin

must= # packages without which nothing can be installed
may=  # packages of test servers and tools

has() { command -v "$1" >/dev/null 2>&1; }

say() { [ "$list_only" = yes ] || printf '%s\n' "$*" >&2; }

package_of() {
    case $1 in
    mosquitto_sub | mosquitto_pub) echo mosquitto-clients ;;
    systemd-analyze) echo systemd ;;
    mkfs.vfat) echo dosfstools ;;
    mkfs.ext4) echo e2fsprogs ;;
    mcopy) echo mtools ;;
    *) echo "$1" ;;
    esac
}

newer_python() {
    for candidate in python3.14 python3.13 python3.12 python3.11; do
        if has "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

for tool in git make; do
    if ! has "$tool"; then
        say "missing: $tool"
        must="$must $tool"
    fi
done

if ! has "$python"; then
    say "missing: $python (Python 3.11 or newer)"
    must="$must python3 python3-venv"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "too old: $("$python" --version 2>&1); Python 3.11 or newer is needed"
    found=$(newer_python)
    if [ -n "$found" ]; then
        say "but $found is here: make PYTHON=$found install"
        exit 1
    fi
    must="$must python3.11 python3.11-venv"
elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    say "missing: venv and ensurepip of $("$python" --version 2>&1)"
    must="$must $("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
fi

for program in "$@"; do
    if ! has "$program"; then
        say "missing for tests: $program"
        may="$may $(package_of "$program")"
    fi
done

missing="$must$may"
if [ "$list_only" = yes ]; then
    printf '%s\n' "${missing# }"
    exit 0
fi
[ -n "$missing" ] || exit 0

root=
[ "$(id -u)" = 0 ] || root="sudo "
say "On Debian or Ubuntu: ${root}apt-get update && ${root}apt-get install -y --no-install-recommends$missing"
if [ -z "$must" ] && [ -z "${CI:-}" ]; then
    say "Going on without: the tests that need them skip."
    exit 0
fi
exit 1
