#!/bin/sh
# Make a virtual environment with exactly the hashed packages of a requirement file.
# usage: venv.sh PYTHON VENV REQUIREMENTS
set -eu
python=$1 venv=$2 requirements=$3

if [ ! -x "$venv/bin/pip" ]; then
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        # Debian ships python3 without ensurepip.
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            echo "python3 -m venv does not work here; install it (Debian: apt-get install python3-venv)" >&2
            exit 1
        fi
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
        rm -rf "$venv"
        "$python" -m venv "$venv"
    fi
fi
echo "installing $requirements into $venv" >&2
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$requirements"
