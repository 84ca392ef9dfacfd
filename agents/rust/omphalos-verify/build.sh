#!/bin/sh
# Build omphalos-verify so that the same sources and the same compiler give the same bytes in any folder.
# Usage: ./build.sh [OUT]    writes OUT/omphalos-verify (default: target/dist)
set -eu
cd "$(dirname "$0")"
here=$(pwd -P)
out=${1:-target/dist}
target="$here/target"
cargo_home=${CARGO_HOME:-$HOME/.cargo}

# The lock names the registry it was made from, so it is made here, of exactly the packages in dependencies.txt.
if [ ! -f Cargo.lock ]; then
    cargo generate-lockfile --quiet
fi
packages() { grep -v '^#' dependencies.txt | sort; }
locked() {
    awk -F'"' '/^\[\[package\]\]/ { n = ""; v = "" } /^name = / { n = $2 } /^version = / { v = $2 }
        /^checksum = / { print n, v, $2 }' Cargo.lock | sort
}
if [ "$(packages)" != "$(locked)" ]; then
    packages | while read -r name version digest; do
        cargo update --quiet "$name" --precise "$version" 2>/dev/null || true
    done
fi
if [ "$(packages)" != "$(locked)" ]; then
    echo "build.sh: the packages to be used are not those of dependencies.txt" >&2
    exit 1
fi
cargo fetch --quiet --locked

# Paths of this machine are left out of the binary: of the sources, of the packages, and of Cargo's folder.
flags="--remap-path-prefix=$here=/omphalos-verify --remap-path-prefix=$cargo_home=/cargo"
for registry in "$cargo_home"/registry/src/*; do
    flags="$flags --remap-path-prefix=$registry=/packages"
done
unset RUSTC_WRAPPER CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET
env SOURCE_DATE_EPOCH=0 CFLAGS="-ffile-prefix-map=$target=/target -ffile-prefix-map=$cargo_home=/cargo" \
    CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="$target" RUSTFLAGS="$flags" \
    cargo build --release --locked --quiet -j "${JOBS:-1}"
mkdir -p "$out"
cp "$target/release/omphalos-verify" "$out/omphalos-verify"
sha256sum "$out/omphalos-verify"
