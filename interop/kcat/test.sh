#!/bin/sh
# kcat 1.7.1 as Debian packages it: produce, consume, look up, all from a shell.
set -eu
BOOTSTRAP=${BOOTSTRAP:-127.0.0.1:9092}
topic=kcat-$$-$(date +%s)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests=0

# check WHAT EXPECTED ACTUAL
check() {
    tests=$((tests + 1))
    [ "$2" = "$3" ] && return
    printf '%s\n--- expected\n%s\n--- got\n%s\n' "FAILED: $1" "$2" "$3"
    exit 1
}
# Every call has an end: a consumer that does not stop at -e is a failure, not a wait.
kcat() { timeout 30 kcat -b "$BOOTSTRAP" -m 10 "$@"; }

# Keys, headers, order; -e must end at the end of the topic.
printf 'a:one\nb:two\nc:three\n' | kcat -P -t "$topic" -K: -H trace=7 -H empty=
check 'keys, values, headers and offsets' \
    'a=one [trace=7,empty=] 0/0
b=two [trace=7,empty=] 0/1
c=three [trace=7,empty=] 0/2' \
    "$(kcat -C -q -t "$topic" -o beginning -e -f '%k=%s [%h] %p/%o\n')"
check '-e on a read from the end ends at once' '' "$(kcat -C -q -t "$topic" -o end -e)"
check '-c counts' 'one' "$(kcat -C -q -t "$topic" -o beginning -c 1)"
check 'from an offset' 'two three' "$(kcat -C -q -t "$topic" -o 1 -e | paste -sd' ')"
check 'the last ones' 'three' "$(kcat -C -q -t "$topic" -p 0 -o -1 -e)"
check 'JSON output' '{"key":"c","payload":"three"}' \
    "$(kcat -C -q -t "$topic" -o 2 -e -J | sed -E 's/.*("key":"c","payload":"three").*/{\1}/')"

# Null and empty: -Z sends an empty field as null.
printf 'gone:\n' | kcat -P -t "$topic" -K: -Z
check 'a null value' 'gone -1' "$(kcat -C -q -t "$topic" -o 3 -e -f '%k %S\n')"

# Every codec, and idempotence.
for codec in none gzip snappy lz4 zstd; do
    seq 1 2000 > "$work/sent"
    kcat -P -t "$topic-$codec" -z "$codec" -X enable.idempotence=true < "$work/sent"
    kcat -C -q -t "$topic-$codec" -o beginning -e -X check.crcs=true > "$work/got"
    check "codec $codec" "$(cksum < "$work/sent")" "$(cksum < "$work/got")"
done

# A file as one message, close to the limit; beyond the limit, an error and no record.
head -c 990000 /dev/zero > "$work/big"
kcat -P -t "$topic-big" "$work/big"
check 'a big record' 990000 "$(kcat -C -q -t "$topic-big" -o beginning -e -D '' | wc -c | tr -d ' ')"
head -c 1100000 /dev/zero > "$work/bigger"
if kcat -P -t "$topic-big" -X message.max.bytes=2000000 "$work/bigger" 2> "$work/error"; then
    check 'a record that is too big' 'an error' 'none'
fi
check 'the error says so' 1 "$(grep -c 'Message size too large' "$work/error")"

# Offsets by time.
printf 'x\n' | kcat -P -t "$topic-time"
sleep 0.01
now=$(date +%s%3N)
printf 'y\n' | kcat -P -t "$topic-time"
check 'the offset at a time' "$topic-time [0] offset 1" "$(kcat -Q -t "$topic-time:0:$now")"
check 'the beginning and the end' "$topic-time [0] offset 0
$topic-time [0] offset 2" \
    "$(kcat -Q -t "$topic-time:0:-2"; kcat -Q -t "$topic-time:0:-1")"
check 'consuming from a time' 'y' "$(kcat -C -q -t "$topic-time" -o "s@$now" -e)"
check 'consuming up to a time' 'x' "$(kcat -C -q -t "$topic-time" -o beginning -o "e@$now" -e)"

# Metadata, of one topic and of all.
check 'metadata of a topic' 1 "$(kcat -L -t "$topic" | grep -c 'partition 0, leader 1, replicas: 1, isrs: 1')"
check 'metadata of all' 1 "$(kcat -L | grep -c "topic \"$topic-time\" with 1 partitions")"
check 'metadata as JSON' "$topic" "$(kcat -L -J -t "$topic" | sed -E 's/.*"topic":"([^"]*)".*/\1/')"

# A group: what one run has read and committed, the next does not read again.
check 'a group reads all' 'x y' "$(kcat -q -G "$topic-group" -X auto.offset.reset=earliest -c 2 "$topic-time" | paste -sd' ')"
printf 'z\n' | kcat -P -t "$topic-time"
check 'and resumes' 'z' "$(kcat -q -G "$topic-group" -X auto.offset.reset=earliest -c 1 "$topic-time")"

echo "$tests checks passed"
