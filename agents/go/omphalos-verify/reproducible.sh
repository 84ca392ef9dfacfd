#!/bin/sh
# Shows that a build depends on the source alone: copies this folder to two places, builds each with a cache of its own,
# and compares the two programs and, if there is one, bin/omphalos-verify.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in a "b/with a longer name"; do
    mkdir -p "$work/$place"
    (cd "$here" && tar -cf - --exclude=./bin --exclude=testdata .) | tar -xf - -C "$work/$place"
    GOCACHE="$work/$place/.cache" sh "$work/$place/build.sh"
done
cmp "$work/a/bin/omphalos-verify" "$work/b/with a longer name/bin/omphalos-verify"
if [ -e "$here/bin/omphalos-verify" ]; then
    cmp "$work/a/bin/omphalos-verify" "$here/bin/omphalos-verify"
fi
sha256sum "$work/a/bin/omphalos-verify" | cut -d ' ' -f 1
