#!/bin/sh
# sh run.sh fill MANIFEST [compacts] | check MANIFEST | dump DATA_DIRECTORY
#    | transactions TURN MANIFESTS SECONDS_LATE | ends DATA_DIRECTORY MANIFEST [STRANDLINE]
set -eu
libs="$CACHE/kafka/libs/*"
if [ ! -e "$BUILD/compiled" ] || [ -n "$(find src -newer "$BUILD/compiled")" ]; then
    mkdir -p "$BUILD/classes"
    javac -Xlint:all -Werror -d "$BUILD/classes" -cp "$libs" src/*.java
    touch "$BUILD/compiled"
fi
verb=$1
shift
case $verb in
fill) class=Fill ;;
check) class=Check ;;
dump) class=Dump ;;
transactions) class=Transactions ;;
ends) class=Ends ;;
esac
exec java -XX:TieredStopAtLevel=1 -cp "$BUILD/classes:$libs" "$class" "$@"
