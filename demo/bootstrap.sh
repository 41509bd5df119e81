#!/bin/sh
# Gets what Airbag cannot bring itself: a Python with venv, Prometheus, Alertmanager; for its tests Redis, nginx,
# PostgreSQL, git, Chromium and a container engine.
# usage: bootstrap.sh python VENV | binaries | servers | engine | newest [FOLDER]
# Installs system packages on Debian and Ubuntu only, and only what is missing; anywhere else it says what to install.
# `newest` installs nothing: it unpacks Debian's newest Prometheus and Alertmanager into a folder, for tests on both, and
# VictoriaMetrics and kustomize, which older Debians lack.
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
    missing=""
    has redis-server || missing="redis-server"
    # A login user's PATH lacks sbin on Debian.
    has nginx || [ -x /usr/sbin/nginx ] || missing="$missing nginx"
    # Debian keeps the server's programs off the PATH.
    has initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
    services=$missing
    has git || missing="$missing git"
    has chromium || missing="$missing chromium"
    # It only reads files; where systemd does not run the machine, nothing of its package is started.
    has systemd-analyze || missing="$missing systemd"
    [ -n "$missing" ] || exit 0
    # shellcheck disable=SC2086 # a list of package names
    debian_install $missing ||
        fail "redis-server, nginx, PostgreSQL, git, chromium and systemd-analyze must be there. On macOS: brew install redis nginx postgresql git chromium"
    # shellcheck disable=SC2086
    stop_services $services
}

get_engine() {
    # An engine that answers may be anybody's; Debian's needs iptables, and its package may have been left half installed.
    missing=""
    { has docker && has dockerd; } || missing="docker.io"
    has iptables || missing="$missing docker.io iptables"
    has mmdebstrap || missing="$missing mmdebstrap"
    [ -n "$missing" ] || exit 0
    [ "$(. /etc/os-release && echo "$ID")" = debian ] ||
        fail "docker, dockerd, iptables and mmdebstrap must be on PATH, and apt with Debian's packages; the engine test runs on Debian"
    # shellcheck disable=SC2086 # a list of package names
    debian_install $missing
    case "$missing" in *docker.io*) stop_services docker.socket docker ;; esac
}

get_newest() { # FOLDER
    complete "$1" && exit 0
    by_hand="put prometheus, promtool, alertmanager and amtool of a version that is newer than this system's, and victoria-metrics and kustomize, into $1"
    has apt-get && has dpkg-deb && [ "$(. /etc/os-release && echo "$ID")" = debian ] ||
        fail "only Debian offers a second version of Prometheus; $by_hand"
    [ -f /usr/share/prometheus/alertmanager/default.tmpl ] ||
        fail "Debian's Alertmanager reads its templates from the system's package; run bootstrap.sh binaries first, or $by_hand"
    mkdir -p "$1"
    find "$1" -maxdepth 1 -name '.new.*' -mmin +60 -exec rm -rf {} + # of a run that was killed
    work=$(mktemp -d "$1/.new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    set +e # behind `||` or `if`, the shell would not stop at the first failure in there either
    (set -e; unpack_newest "$work") >"$work/said" 2>&1
    failed=$?
    set -e
    [ $failed = 0 ] || { cat "$work/said" >&2; fail "could not get it; try again, or $by_hand"; }
    # One after the other, and each whole or not at all; the next run gets what a kill left out.
    mv "$work/prometheus-alertmanager" "$work/alertmanager"
    for program in $newest; do mv "$work/$program" "$1/$program"; done
    say "Unpacked into $1:"
    for program in prometheus alertmanager; do "$1/$program" --version 2>&1 | head -n 1 >&2; done
}

newest="prometheus promtool alertmanager amtool victoria-metrics kustomize"

complete() { # FOLDER
    for program in $newest; do [ -x "$1/$program" ] || return 1; done
}

unpack_newest() { # FOLDER ; apt with lists, sources and cache of its own, and this system's proxies, keys and mirror
    cd "$1"
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    # Without release information the list also has what was never downloaded.
    mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' |
        grep -m 1 -E '/debian/?$' || apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | head -n 1)
    [ -n "$mirror" ] || { echo "no mirror of Debian among apt's sources"; exit 1; }
    mkdir -p state/lists/partial cache/archives/partial
    : >status
    for suite in testing unstable; do echo "deb [signed-by=$keys] $mirror $suite main"; done >sources.list
    private="-o Dir::State=$PWD/state -o Dir::State::status=$PWD/status -o Dir::Cache=$PWD/cache -o APT::Default-Release="
    private="$private -o Acquire::Languages=none -o APT::Update::Error-Mode=any -o APT::Sandbox::User=$(id -un)"
    private="$private -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null"
    ours="-o Dir::Etc::sourcelist=$PWD/sources.list -o Dir::Etc::sourceparts=/dev/null"
    # An older system may lack the key of the newest suites. Its own package of keys brings it, signed by those it has.
    # shellcheck disable=SC2086 # lists of options
    apt-get $private $ours update || {
        apt-get $private update
        apt-get $private download debian-archive-keyring
        dpkg-deb -x debian-archive-keyring_*.deb keys
        sed -i "s|=$keys|=$PWD/keys$keys|" sources.list
        apt-get $private $ours update
    }
    # shellcheck disable=SC2086
    apt-get $private $ours download prometheus promtool prometheus-alertmanager victoria-metrics kustomize
    for package in prom*.deb victoria-metrics_*.deb kustomize_*.deb; do dpkg-deb -x "$package" unpacked; done
    for program in prometheus promtool prometheus-alertmanager amtool victoria-metrics; do
        "unpacked/usr/bin/$program" --version
        mv "unpacked/usr/bin/$program" .
    done
    unpacked/usr/bin/kustomize version # it knows no --version
    mv unpacked/usr/bin/kustomize .
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
engine) get_engine ;;
newest) get_newest "${2:-${XDG_CACHE_HOME:-$HOME/.cache}/airbag/newest}" ;;
*) fail "usage: bootstrap.sh python VENV | binaries | servers | engine | newest [FOLDER]" ;;
esac
