#!/bin/sh
# Our record batches, read by Kafka's own classes. BUILD is a scratch folder whose libs/ holds the
# jars of pom.xml; they are fetched when it does not. `run.sh --write-vectors` renews the batches of
# Kafka that our tests read.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
BUILD=${BUILD:-$root/target/interop/records}
mkdir -p "$BUILD/classes"
[ -d "$BUILD/libs" ] || mvn -q -B dependency:copy-dependencies -DoutputDirectory="$BUILD/libs"
javac -Xlint:all -Werror -d "$BUILD/classes" -cp "$BUILD/libs/*" src/*.java
vectors() {
    java -XX:TieredStopAtLevel=1 --enable-native-access=ALL-UNNAMED -cp "$BUILD/classes:$BUILD/libs/*" RecordVectors "$@" 2>"$BUILD/stderr" ||
        { cat "$BUILD/stderr"; exit 1; }
}
if [ "${1:-}" = --write-vectors ]; then
    vectors write "$root/crates/wire/tests/record_vectors/kafka-clients-4.3.1.batches"
else
    (cd "$root" && cargo run -q -p strandline-wire --example record_vectors -- "$BUILD/ours.batches")
    vectors check "$BUILD/ours.batches"
fi
