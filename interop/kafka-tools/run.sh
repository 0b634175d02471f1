#!/bin/sh
# Kafka's own tools in one JVM: starting one for each call would cost a second of CPU a time.
set -eu
mkdir -p "$BUILD/classes"
libs="$CACHE/kafka/libs/*"
javac -Xlint:all -Werror -d "$BUILD/classes" -cp "$libs" src/*.java
exec java -XX:TieredStopAtLevel=1 -cp "$BUILD/classes:$libs" Tools
