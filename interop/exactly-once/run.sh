#!/bin/sh
# sh run.sh build | load CHAIN... | CHAIN MEMBER
set -eu
libs="$BUILD/classes:$CACHE/kafka/libs/*:$BUILD/libs/*"
jvm="java -Xmx256m -XX:TieredStopAtLevel=1 -cp $libs"
chain=$1
shift
case $chain in
build)
    sources="src/*.java ../kafka-mixed/src/Work.java"
    if [ ! -e "$BUILD/compiled" ] || [ -n "$(find $sources -newer "$BUILD/compiled")" ]; then
        mkdir -p "$BUILD/classes"
        javac -Xlint:all -Werror -d "$BUILD/classes" -cp "$libs" $sources
        touch "$BUILD/compiled"
    fi
    # State of an earlier cluster.
    rm -rf "$BUILD/state"
    go build -o "$BUILD/chain" .
    ;;
load) exec $jvm Load "$@" ;;
copier) exec $jvm Copier "$1" ;;
streams) exec $jvm WordCount "$1" "$BUILD/state/$1" ;;
franz-go) exec "$BUILD/chain" "$1" ;;
librdkafka) exec "$BUILD/venv/bin/python" chain.py "$1" ;;
esac
