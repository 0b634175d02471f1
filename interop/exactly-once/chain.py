"""Copies lines by librdkafka, as one member of a group: a transaction holds what was read and the offsets up to which it was."""

import os
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

SIZE = 50
member = sys.argv[1]
consumer = Consumer(
    {
        "bootstrap.servers": os.environ["BOOTSTRAP"],
        "group.id": "librdkafka",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 1500,
    }
)
producer = Producer({"bootstrap.servers": os.environ["BOOTSTRAP"], "transactional.id": f"librdkafka-{member}"})


def until_it_works(call):
    """What may be retried has not failed yet."""
    while True:
        try:
            return call()
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            print("again:", error, file=sys.stderr)


def rewind():
    """Back to what was committed: the transaction that went on from there is aborted."""
    for partition in consumer.committed(consumer.assignment(), timeout=60):
        if partition.offset < 0:
            partition.offset = 0
        consumer.seek(partition)


def copy(lines):
    producer.begin_transaction()
    ends = {line.partition(): TopicPartition("lines", line.partition(), line.offset() + 1) for line in lines}
    try:
        for line in lines:
            producer.produce("librdkafka", line.value(), line.key(), partition=line.partition())
        until_it_works(lambda: producer.send_offsets_to_transaction(list(ends.values()), consumer.consumer_group_metadata()))
        until_it_works(producer.commit_transaction)
    except KafkaException as error:
        if not error.args[0].txn_requires_abort():
            raise
        print("aborted:", error, file=sys.stderr)
        until_it_works(producer.abort_transaction)
        rewind()


# What was read and not yet copied.
lines = []
until_it_works(producer.init_transactions)
# Whoever is given a partition reads on from what was committed.
consumer.subscribe(["lines"], on_revoke=lambda *_: lines.clear(), on_lost=lambda *_: lines.clear())
while True:
    line = consumer.poll(0.1)
    if line is not None and line.error() is None:
        lines.append(line)
    elif line is not None:
        print("poll:", line.error(), file=sys.stderr)
    if lines and (line is None or len(lines) >= SIZE):
        copy(lines)
        lines.clear()
