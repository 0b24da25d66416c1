# shellcheck shell=bash
# Read by ./run and ./test: installs what they need of Debian's packages, as root or by sudo.

# need PROBE PACKAGE...: installs the packages where the probe fails.
need() {
    bash -c "$1" >/dev/null 2>&1 || install_packages "${@:2}"
}

install_packages() {
    if ! command -v apt-get >/dev/null; then
        echo "Please install what Debian calls: $*" >&2
        return 1
    fi
    echo "installing $*" >&2
    [ -n "${apt_lists_are_fresh:-}" ] || as_root apt-get update -qq
    apt_lists_are_fresh=yes
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@" </dev/null >&2
}

# Installs Redis, but not the system service that the package would start now and at every boot: a redis-cli that is
# called without an address would talk to that one, and not to the instance that its user has in mind.
need_redis() {
    if command -v redis-server && command -v redis-cli; then return; fi >/dev/null
    install_without_service redis-server
}

# PostgreSQL, of which tests start one each: no system service either.
need_postgresql() {
    if compgen -G '/usr/lib/postgresql/*/bin/initdb' || command -v initdb; then return; fi >/dev/null
    install_without_service postgresql
}

# Installs a package whose service has its name, and sees to it that the service does not run.
install_without_service() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        install_packages "$1"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    local installed=no
    install_packages "$1" && installed=yes
    as_root rm "$policy"
    [ $installed = yes ]
    if [ -d /run/systemd/system ]; then as_root systemctl --quiet disable "$1"; fi
}

# Cargo, and a C compiler: rustc links with it, and the bundled SQLite is C.
need_build_tools() {
    command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
    if ! command -v cargo >/dev/null; then
        echo "There is no cargo here. Please install a Rust toolchain first." >&2
        return 1
    fi
    need 'echo "int main(void) { return 0; }" | cc -x c -o /dev/null -' gcc libc6-dev
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
