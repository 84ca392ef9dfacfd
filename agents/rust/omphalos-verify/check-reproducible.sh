#!/bin/sh
# Build twice, in two folders of different names and lengths, and compare the bytes.
# Exit code 0: the binaries are the same and name no folder of this machine; 1: they are not.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in one another/place/with-a-longer-name; do
    mkdir -p "$work/$place"
    cp -R Cargo.toml dependencies.txt build.sh src "$work/$place/"
    (cd "$work/$place" && ./build.sh dist)
done
first="$work/one/dist/omphalos-verify"
second="$work/another/place/with-a-longer-name/dist/omphalos-verify"
if ! cmp "$first" "$second"; then
    echo "check-reproducible.sh: two builds differ" >&2
    exit 1
fi
for folder in "$work" "${CARGO_HOME:-$HOME/.cargo}" "$(pwd -P)"; do
    if grep -a -q -F "$folder" "$first"; then
        echo "check-reproducible.sh: the binary names $folder" >&2
        exit 1
    fi
done
echo "two builds in two folders are the same bytes"
