#!/bin/sh
# Compiles src/ and runs its tests, four at a time: most of their time is waiting for rebalances.
set -eu
mkdir -p "$BUILD/classes"
javac -Xlint:all,-try -Werror -d "$BUILD/classes" -cp "$BUILD/libs/*" src/*.java
exec java -XX:TieredStopAtLevel=1 -cp "$BUILD/classes:$BUILD/libs/*" \
    org.junit.platform.console.ConsoleLauncher execute --disable-banner --disable-ansi-colors \
    --scan-classpath "$BUILD/classes" --details=tree --fail-if-no-tests \
    --config junit.jupiter.execution.parallel.enabled=true \
    --config junit.jupiter.execution.parallel.mode.default=concurrent \
    --config junit.jupiter.execution.parallel.config.strategy=fixed \
    --config junit.jupiter.execution.parallel.config.fixed.parallelism=4
