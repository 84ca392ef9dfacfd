#!/bin/sh
# Builds bin/omphalos-verify: static, and the same bytes wherever this folder lies. GO names another go command.
set -eu
cd "$(dirname "$0")"
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0
exec "${GO:-go}" build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "${1:-bin/omphalos-verify}" .
