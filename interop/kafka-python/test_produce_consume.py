"""Producing and consuming with the pure Python client."""

import time

import pytest
from conftest import BOOTSTRAP, HOUR_AGO
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import InvalidTopicError, MessageSizeTooLargeError


def produce(records, **config):
    """Produces (topic, kwargs) pairs and waits for every answer."""
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, linger_ms=5, **config)
    try:
        futures = [producer.send(name, **kwargs) for name, kwargs in records]
        return [future.get(20) for future in futures]
    finally:
        producer.close()


def reader(**config):
    return KafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset="earliest", **config)


def read(name, count, partitions=1, **config):
    """The first `count` records of a topic; fails when there are not that many."""
    consumer = reader(**config)
    consumer.assign([TopicPartition(name, partition) for partition in range(partitions)])
    records, deadline = [], time.monotonic() + 20
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records"
        for batch in consumer.poll(timeout_ms=500).values():
            records.extend(batch)
    consumer.close()
    return records


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_records_come_back_as_sent(topic, codec):
    name = topic()
    sent = [
        dict(key=f"k{i}".encode(), value=bytes([i % 256]) * 300, timestamp_ms=HOUR_AGO + i,
             headers=[("trace", b"\x00\xff"), ("trace", b"again")])
        for i in range(300)
    ]
    sent += [dict(key=None, value=b"no key"), dict(key=b"no value", value=None)]
    answers = produce([(name, record) for record in sent], compression_type=codec)
    assert [answer.offset for answer in answers] == list(range(len(sent)))

    got = read(name, len(sent), check_crcs=True)
    assert [record.offset for record in got] == list(range(len(sent)))
    for expected, record in zip(sent, got):
        assert (record.key, record.value) == (expected["key"], expected["value"])
        assert list(record.headers) == expected.get("headers", [])
        if "timestamp_ms" in expected:
            assert (record.timestamp, record.timestamp_type) == (expected["timestamp_ms"], 0)


def test_a_key_keeps_its_partition_and_keys_spread(topic):
    name = topic(partitions=6)
    records = [(name, dict(key=f"key-{i % 50}".encode(), value=b"x")) for i in range(300)]
    homes = {}
    for (_, record), answer in zip(records, produce(records)):
        assert homes.setdefault(record["key"], answer.partition) == answer.partition
    assert set(homes.values()) == set(range(6))
    assert [homes[f"key-{i}".encode()] for i in range(4)] == [1, 0, 2, 5]


def test_seek_to_an_offset_and_to_a_time(topic):
    name = topic()
    start = HOUR_AGO
    produce([(name, dict(value=str(i).encode(), timestamp_ms=start + 1000 * i)) for i in range(100)])
    consumer, partition = reader(), TopicPartition(name, 0)
    consumer.assign([partition])

    def next_value():
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if batches := consumer.poll(timeout_ms=500, max_records=1):
                return batches[partition][0].value

    consumer.seek(partition, 95)
    assert next_value() == b"95"
    consumer.seek_to_beginning(partition)
    assert next_value() == b"0"
    found = consumer.offsets_for_times({partition: start + 41_001})[partition]
    assert (found.offset, found.timestamp) == (42, start + 42_000)
    consumer.seek(partition, found.offset)
    assert next_value() == b"42"
    assert consumer.offsets_for_times({partition: start + 99_001})[partition] is None
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 100}
    consumer.close()


def test_an_empty_topic_has_an_end(topic):
    name = topic()
    consumer, partition = reader(), TopicPartition(name, 0)
    consumer.assign([partition])
    assert consumer.poll(timeout_ms=300) == {}
    assert consumer.position(partition) == 0 == consumer.end_offsets([partition])[partition]
    consumer.close()


def test_iterating_ends_after_the_time_out(topic):
    name = topic()
    produce([(name, dict(value=b"x"))] * 3)
    consumer = reader(consumer_timeout_ms=1000)
    consumer.assign([TopicPartition(name, 0)])
    assert [record.value for record in consumer] == [b"x"] * 3
    consumer.close()


def test_an_idempotent_producer_writes_each_record_once(topic):
    name = topic()
    values = [str(i).encode() for i in range(1000)]
    records = [(name, dict(value=value)) for value in values]
    produce(records, enable_idempotence=True, acks="all", batch_size=500)
    assert [record.value for record in read(name, 1000)] == values


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_each_level_of_acks(topic, acks):
    name = topic()
    produce([(name, dict(value=b"x"))] * 50, acks=acks, enable_idempotence=False)
    assert [record.offset for record in read(name, 50)] == list(range(50))


def test_big_records_pass_and_too_big_ones_are_refused(topic):
    name = topic()
    big = bytes(1_000_000)
    produce([(name, dict(value=big))] * 3)
    assert [len(record.value) for record in read(name, 3, max_partition_fetch_bytes=1000)] == [len(big)] * 3
    with pytest.raises(MessageSizeTooLargeError):
        produce([(name, dict(value=bytes(1_100_000)))], max_request_size=2_000_000)


def test_producing_creates_a_topic_and_looking_does_not(fresh):
    (answer,) = produce([(fresh("auto"), dict(value=b"first"))])
    assert (answer.partition, answer.offset) == (0, 0)
    consumer, absent = reader(allow_auto_create_topics=False), fresh("absent")
    assert not consumer.partitions_for_topic(absent)
    assert absent not in consumer.topics()
    consumer.close()
    with pytest.raises((InvalidTopicError, TypeError, ValueError)):
        produce([("no spaces allowed", dict(value=b"x"))])
