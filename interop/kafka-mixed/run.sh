#!/bin/sh
# sh run.sh load | operate VERB...
set -eu
libs="$CACHE/kafka/libs/*"
sources="src/*.java ../kafka-tools/src/Shell.java"
if [ ! -e "$BUILD/compiled" ] || [ -n "$(find $sources -newer "$BUILD/compiled")" ]; then
    mkdir -p "$BUILD/classes"
    javac -Xlint:all -Werror -d "$BUILD/classes" -cp "$libs" $sources
    touch "$BUILD/compiled"
fi
verb=$1
shift
case $verb in
load) class=Load ;;
operate) class=Operate ;;
esac
exec java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$BUILD/classes:$libs" "$class" "$@"
