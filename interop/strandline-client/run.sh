#!/bin/sh
# The tests of the client crate, against the broker at $BOOTSTRAP.
set -eu
export STRANDLINE_TEST_BOOTSTRAP="$BOOTSTRAP" STRANDLINE_TEST_KAFKA_LIBS="$CACHE/kafka/libs"
exec cargo test --manifest-path ../../Cargo.toml --locked --quiet -p strandline-client --tests
