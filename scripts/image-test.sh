#!/bin/sh
# Build the image without a container engine, on a stand-in for its base, and run the tests that look into it.
# usage: image-test.sh VENV VERSION COMMIT
#
# The stand-in is a Debian of the same release with its own python3.11. A machine where this cannot be done is told so
# and passes, unless CI is set.
set -eu
venv=$1 version=$2 commit=$3
work=$PWD/build/image base=docker.io/library/python:3.11-slim-bookworm

give_up() {
    echo "image-test: $1" >&2
    [ -z "${CI:-}" ] || exit 1
    echo "image-test: skipped" >&2
    exit 0
}

[ "$(uname -sm)" = "Linux x86_64" ] || give_up "needs Linux on x86_64"
[ "$(id -u)" -eq 0 ] || give_up "needs root, for debootstrap and runc"
"$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || give_up "needs $venv with Python 3.11"
if ! { command -v buildah && command -v debootstrap && command -v runc; } >/dev/null; then
    command -v apt-get >/dev/null || give_up "needs buildah, debootstrap and runc"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah debootstrap runc >/dev/null
fi

mkdir -p "$work"
if [ ! -e "$work/base.tar" ]; then
    echo "image-test: making the stand-in base" >&2
    rm -rf "$work/base"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base" \
        >"$work/debootstrap.log" 2>&1 || give_up "debootstrap failed, see $work/debootstrap.log"
    tar -C "$work/base" --exclude=./var/cache/apt/archives --exclude=./dev -cf "$work/base.tar.part" .
    rm -rf "$work/base"
    mv "$work/base.tar.part" "$work/base.tar"
fi

echo "image-test: fetching wheels" >&2
for requirements in build run; do
    "$venv/bin/pip" download --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --dest "$work/wheels" --requirement "requirements/$requirements.txt" 2>"$work/pip.log" ||
        { cat "$work/pip.log" >&2; exit 1; }
done
printf '[global]\nno-index = true\nfind-links = /wheels\ndisable-pip-version-check = true\n' >"$work/pip.conf"

builder() { buildah --root "$work/store" --runroot "$work/runroot" --storage-driver vfs "$@"; }
trap 'builder umount --all >/dev/null; rm -rf "$work/store" "$work/runroot"' EXIT

echo "image-test: building" >&2
printf 'FROM scratch\nADD base.tar /\n' >"$work/Base"
builder bud --quiet --tag "$base" --ignorefile /dev/null --file "$work/Base" "$work" >/dev/null
builder bud --pull-never --isolation chroot --format docker \
    --volume "$work/wheels:/wheels:ro" --volume "$work/pip.conf:/etc/pip.conf:ro" \
    --build-arg VERSION="$version" --build-arg COMMIT="$commit" --tag pd-autoscaler:test . >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; exit 1; }
builder inspect --type image pd-autoscaler:test >"$work/inspect.json"
ln -sfn "$(builder mount "$(builder from --pull-never pd-autoscaler:test)")" "$work/root"

: >"$work/measured.txt"
PD_AUTOSCALER_IMAGE=$work PD_AUTOSCALER_VERSION=$version PD_AUTOSCALER_BUILT_FROM=$commit \
    "$venv/bin/pytest" -q -p no:cacheprovider tests/deploy/test_image.py
cat "$work/measured.txt"
