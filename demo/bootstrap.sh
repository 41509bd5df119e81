#!/bin/sh
# Gets what Airbag cannot bring itself: a Python with venv, Prometheus and Alertmanager, and for its tests Redis.
# usage: bootstrap.sh python VENV | bootstrap.sh binaries | bootstrap.sh servers
# Installs system packages on Debian and Ubuntu only, and only what is missing; anywhere else it says what to install.
set -eu

say() { printf '%s\n' "$*" >&2; }
fail() { say "airbag: $*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

debian_install() { # PACKAGE... ; the caller has said why
    has apt-get || return 1
    if [ "$(id -u)" = 0 ]; then as_root=""; elif has sudo; then as_root="sudo"; else
        fail "missing Debian packages: $*. Run this as root: apt-get install $*"
    fi
    say "Installing Debian packages: $*"
    # Lists may be absent or old: try with what is there, renew them only when that fails.
    install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends"
    said=$(mktemp)
    $install "$@" >"$said" 2>&1 || { $as_root apt-get update -qq && $install "$@"; } >"$said" 2>&1 ||
        { cat "$said" >&2; rm -f "$said"; fail "apt-get could not install: $*"; }
    rm -f "$said"
}

usable() { # PYTHON: can it make our environment?
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if has "$candidate" && usable "$candidate"; then echo "$candidate"; return; fi
    done
    return 1
}

make_venv() { # FOLDER
    python=$(find_python) || {
        debian_install python3 python3-venv ||
            fail "no Python 3.11, 3.12 or 3.13 with venv on PATH. On macOS: brew install python@3.12"
        python=$(find_python) ||
            fail "this system's python3 is $(python3 --version 2>&1); Airbag needs 3.11 to 3.13. Install one and give it: make PYTHON=/path/to/python3.12 ..."
    }
    case "$(uname -sm)" in
    "Linux x86_64" | "Linux aarch64" | "Darwin arm64") ;;
    *) say "airbag: TensorFlow publishes no package for $(uname -sm); only production installs work here" ;;
    esac
    "$python" -m venv "$1"
}

get_binaries() {
    missing=""
    has prometheus && has promtool || missing="prometheus"
    { has alertmanager || has prometheus-alertmanager; } && has amtool || missing="$missing prometheus-alertmanager"
    [ -n "$missing" ] || exit 0
    # shellcheck disable=SC2086 # a list of package names
    debian_install $missing ||
        fail "prometheus, promtool, alertmanager and amtool must be on PATH. On macOS: brew install prometheus alertmanager. Elsewhere: the upstream releases"
    # Newer Debian keeps promtool in a package of its own.
    has promtool || debian_install promtool
    stop_services $missing
}

get_servers() {
    has redis-server && exit 0
    debian_install redis-server || fail "redis-server must be on PATH. On macOS: brew install redis"
    stop_services redis-server
}

stop_services() { # UNIT...: the packages start services on the standard ports; Airbag starts its own
    if [ -d /run/systemd/system ] && has systemctl; then
        for unit in "$@"; do $as_root systemctl disable --quiet --now "$unit" || say "could not stop the service $unit"; done
    fi
}

case "${1:-}" in
python) make_venv "${2:?usage: bootstrap.sh python VENV}" ;;
binaries) get_binaries ;;
servers) get_servers ;;
*) fail "usage: bootstrap.sh python VENV | bootstrap.sh binaries | bootstrap.sh servers" ;;
esac
