#!/bin/sh
# The tests of the client crate, against the broker at $BOOTSTRAP.
set -eu
STRANDLINE_TEST_BOOTSTRAP="$BOOTSTRAP" exec cargo test --manifest-path ../../Cargo.toml --locked --quiet \
    -p strandline-client --tests
