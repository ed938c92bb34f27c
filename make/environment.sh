#!/bin/sh
# Finds a Python, makes .venv and installs the pinned dependencies and CRYPTML itself into it.
#
#   sh make/environment.sh find      print the Python that would be used, or say why there is none
#   sh make/environment.sh install   make .venv ready, with everything; does nothing when it already is
#   sh make/environment.sh client    make an environment with what a client needs, without torch, training and service
#   sh make/environment.sh server    make one that serves, without torch and training
#   sh make/environment.sh clean     remove these, caches and build outputs
#
# Environment: PYTHON (the Python to use), NEEDED_GB (free disk space to insist on), VENV (where client or server is to be).
#
# constraints.txt is complete, so it is installed as it stands, with --no-deps: nothing is left to resolve. That also lets
# Python 3.12 have onnxoptimizer 0.4.2: Concrete ML 1.9.0 asks for 0.3.13, which has no wheel for 3.12.
set -eu

cd "$(dirname "$0")/.."
root=$(pwd -P)
case ${1:-} in
    client | server)
        # Parts of constraints.txt, from make/locks.py; a copy of CRYPTML, so that the environment outlives this folder.
        part=$1
        venv=${VENV:-.venv-$part}
        lock=make/$part.txt
        size="half a minute to 2 minutes, 0.7 GB"
        default_gb=2
        ;;
    *)
        part=
        venv=.venv
        lock=constraints.txt
        size="2 to 5 minutes, 7.7 GB"
        default_gb=11
        ;;
esac
case $venv in
    /*) absolute=$venv ;;
    *) absolute=$root/$venv ;;
esac
stamp=$venv/cryptml-installed
log=$venv/install.log
pip_cache=

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Sets $version, $has_venv (yes or no) and $executable; false where the command does not answer. Valid in Python 2 as well.
probe() {
    answer=$("$1" -c '
import sys
has_venv = "yes"
try:
    import ensurepip, venv
except ImportError:
    has_venv = "no"
print("%d.%d.%d %s %s" % (tuple(sys.version_info[:3]) + (has_venv, sys.executable)))
' 2>/dev/null </dev/null) || return 1
    version=${answer%% *}
    answer=${answer#* }
    has_venv=${answer%% *}
    executable=${answer#* }
    [ -n "$version" ]
}

supported() {
    case $version in 3.11.* | 3.12.*) return 0 ;; *) return 1 ;; esac
}

# Sets $python, $version and $executable, or ends with one sentence.
find_python() {
    found=
    lacks_venv=
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 || fail "CRYPTML needs Python 3.11 or 3.12, but PYTHON=$PYTHON is not a command; give the path of one, as in: make PYTHON=/path/to/python3.11"
        set -- "$PYTHON"
    else
        # A .venv that works stays in use; then 3.11 first, which is tested most.
        set -- "$venv/bin/python" python3.11 python3.12 python3 python
    fi
    for candidate in "$@"; do
        probe "$candidate" || continue
        if ! supported; then
            found="${found:+$found, }$version at $executable"
        elif [ "$has_venv" = no ]; then
            lacks_venv="${lacks_venv:-Python $version at $executable}"
            lacks_version="${lacks_version:-${version%.*}}"
        else
            python=$candidate
            return 0
        fi
    done
    if [ -n "$lacks_venv" ]; then
        fail "$lacks_venv cannot make virtual environments: its modules venv and ensurepip are missing; on Debian or Ubuntu install the package python$lacks_version-venv (sudo apt install python$lacks_version-venv), then run make again."
    fi
    if [ -n "${PYTHON:-}" ] && [ -z "$found" ]; then
        fail "CRYPTML needs Python 3.11 or 3.12, but PYTHON=$PYTHON does not run Python code; give the path of one that does, as in: make PYTHON=/path/to/python3.11"
    fi
    fail "CRYPTML needs Python 3.11 or 3.12, found ${found:-none}; install one of these or run make PYTHON=/path/to/python3.11"
}

# What the installation depends on; the stamp holds it.
state() {
    printf '%s\n' "root $root" "python ${version%.*}"
    if [ -z "$part" ]; then
        cksum pyproject.toml constraints.txt
    else
        cksum pyproject.toml constraints.txt "$lock"
        find cryptml server/cryptml_server client/cryptml_client -type f ! -name '*.pyc' -exec cksum {} + 2>/dev/null | LC_ALL=C sort | cksum
    fi
}

check_disk() {
    # 7.7 GB stay; 3.3 GB of downloads lie beside them until the installation ends, as much again if pip keeps copies.
    needed_gb=${NEEDED_GB:-$default_gb}
    case $needed_gb in '' | *[!0-9]*) fail "NEEDED_GB must be a whole number of gigabytes, not \"$needed_gb\"." ;; esac
    place=$(dirname "$venv")
    [ -d "$place" ] || place=.
    used_kb=0
    if [ -d "$venv" ]; then
        place=$venv/.
        used_kb=$(du -sk "$place" 2>/dev/null | cut -f 1)
    fi
    free_kb=$(df -Pk "$place" | tail -n 1 | sed 's/.* \([0-9][0-9]*\)  *[0-9][0-9]*% .*/\1/')
    case $free_kb in '' | *[!0-9]*) return 0 ;; esac
    available_kb=$((free_kb + ${used_kb:-0}))
    if [ "$available_kb" -lt "$((needed_gb * 1000000))" ]; then
        fail "CRYPTML's installation needs about $needed_gb GB of disk space, but only $((free_kb / 1000000)) GB are free in ${absolute%/*}; free some, or clone CRYPTML to a larger disk."
    fi
    [ "$available_kb" -ge "$(((needed_gb + 4) * 1000000))" ] || pip_cache=--no-cache-dir
}

# Runs a command into the log.
noted() {
    printf '\n$ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null
}

# The same; on failure shows the log's end and the sentence given first.
logged() {
    sentence=$1
    shift
    if ! noted "$@"; then
        printf '%s\n' "Last lines of $log:" >&2
        tail -n 15 "$log" >&2
        fail "$sentence"
    fi
}

pip_install() {
    sentence=$1
    shift
    # Large downloads are unpacked beside their destination, for /tmp may be small. Most modules are never imported: those that are get compiled then.
    TMPDIR=$absolute/tmp logged "$sentence" \
        "$venv/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off $pip_cache --no-compile --no-deps "$@"
}

# With uv, which downloads and unpacks several at once, where it can be had and does it; or else with pip, which says what is wrong.
install_dependencies() {
    if TMPDIR=$absolute/tmp noted "$venv/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off --no-cache-dir --only-binary :all: --no-deps \
        --constraint constraints.txt uv &&
        TMPDIR=$absolute/tmp UV_CACHE_DIR=$absolute/tmp/uv noted "$venv/bin/python" make/uv_install.py --no-progress --no-deps --requirement "$lock"; then
        return 0
    fi
    printf '%s\n' "uv could not install them; pip does, which takes longer." >>"$log"
    pip_install "$1" --requirement "$lock"
}

tell_time() {
    ticker=
    [ -t 2 ] || return 0
    (
        seconds=0
        while sleep 5; do
            seconds=$((seconds + 5))
            printf '\r  %d s ' "$seconds" >&2
        done
    ) &
    ticker=$!
    trap 'kill "$ticker" 2>/dev/null || :' EXIT
    trap 'exit 130' INT TERM HUP
}

install() {
    [ -f pyproject.toml ] && [ -f constraints.txt ] && [ -f "$lock" ] || fail "pyproject.toml, constraints.txt or $lock is missing in $root; restore them, for example with: git checkout pyproject.toml constraints.txt make"
    find_python
    if [ -f "$stamp" ] && [ -x "$venv/bin/python" ] && [ "$(state)" = "$(cat "$stamp")" ]; then
        return 0
    fi
    if [ -d "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ ! -f "$log" ] && [ -n "$(ls -A "$venv")" ]; then
        fail "$absolute holds other things than a virtual environment, which would be deleted; give a new folder, as in: make $part VENV=/path/to/new-folder"
    fi
    check_disk

    # An environment of another Python, from another place or half made is made anew.
    wanted=${version%.*}
    remake=
    if [ -e "$venv" ]; then
        remake=--clear
        if probe "$venv/bin/python" && [ "${version%.*}" = "$wanted" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
            { [ ! -f "$stamp" ] || [ "$(head -n 1 "$stamp")" = "root $root" ]; }; then
            remake=no
        fi
    fi
    if [ "$remake" != no ]; then
        case $python in
            "$venv"/*)
                # The environment moved here with its folder: its Python works, but the new one needs its base.
                python=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))') ;;
        esac
        printf '%s\n' "Making $venv with Python $wanted ..." >&2
        said=$("$python" -m venv $remake "$venv" 2>&1 </dev/null) || {
            printf '%s\n' "$said" >&2
            fail "$python could not make the virtual environment $absolute; its message stands above."
        }
    fi
    probe "$venv/bin/python" || fail "The Python in $absolute does not run; remove that folder and run make again."
    rm -f "$stamp"
    : >"$log"
    mkdir -p "$venv/tmp"

    printf '%s\n' "Installing pinned dependencies ($size); log: $log ..." >&2
    tell_time
    network="The installation failed: see above, and the whole log in $log; if the network was at fault, run make again, it goes on where it can."
    itself="CRYPTML itself could not be installed: see above, and the whole log in $log."
    if [ -z "$part" ]; then
        pip_install "$network" --constraint constraints.txt pip setuptools
        install_dependencies "$network"
        pip_install "$itself" --no-build-isolation --editable .
    else
        pip_install "$network" --constraint constraints.txt pip
        install_dependencies "$network"
        pip_install "$itself" --build-constraint constraints.txt .
        noted "$venv/bin/python" -m pip uninstall --yes uv setuptools || :
        # What is imported is compiled now: who runs it may not be allowed to write here.
        check="import cryptml.cli.main, cryptml.fhe.concrete, cryptml_client"
        [ "$part" = client ] || check="$check, cryptml_server"
        logged "CRYPTML was installed, but does not start: see above, and the whole log in $log." "$venv/bin/python" -c "$check"
    fi
    if [ -n "$ticker" ]; then
        kill "$ticker" 2>/dev/null || :
        trap - EXIT
        printf '\r' >&2
    fi
    rm -rf "$venv/tmp"
    probe "$venv/bin/python" && state >"$stamp"
    printf '%s\n' "Installed: $venv/bin/cryptml" >&2
}

clean() {
    rm -rf .venv .venv-client .venv-server .demo .artifacts .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov dist build site
    find cryptml server client tests -type d \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} + 2>/dev/null || :
}

case ${1:-} in
    find)
        find_python
        printf '%s\n' "$executable"
        ;;
    install | client | server) install ;;
    clean) clean ;;
    *)
        printf '%s\n' "usage: sh make/environment.sh find|install|client|server|clean" >&2
        exit 2
        ;;
esac
