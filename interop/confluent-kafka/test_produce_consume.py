"""Producing and consuming with librdkafka's Python client."""

import time

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from conftest import BOOTSTRAP, HOUR_AGO


def produce(records, **config):
    """Produces (topic, kwargs) pairs; returns the delivered messages or the first error."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **config})
    delivered, errors = [], []

    def on_delivery(error, message):
        errors.append(error) if error else delivered.append(message)

    for name, kwargs in records:
        producer.produce(name, on_delivery=on_delivery, **kwargs)
    assert producer.flush(20) == 0
    if errors:
        raise KafkaException(errors[0])
    return delivered


def reader(*assignment, **config):
    consumer = Consumer({
        "bootstrap.servers": BOOTSTRAP,
        "group.id": "never-committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        **config,
    })
    consumer.assign(list(assignment))
    return consumer


def read_to_end(consumer, partitions=1):
    """All messages up to the end of each of the assigned partitions."""
    messages, ended = [], 0
    deadline = time.monotonic() + 20
    while ended < partitions:
        assert time.monotonic() < deadline, "no end of partition"
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ended += 1
        else:
            messages.append(message)
    consumer.close()
    return messages


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_records_come_back_as_sent(topic, codec):
    name = topic()
    sent = [
        dict(key=f"k{i}".encode(), value=bytes([i % 256]) * 300, timestamp=HOUR_AGO + i,
             headers=[("trace", b"\x00\xff"), ("trace", b"again"), ("none", None)])
        for i in range(500)
    ]
    sent += [dict(key=None, value=b"no key"), dict(key=b"no value", value=None), dict(key=b"", value=b"")]
    delivered = produce([(name, record) for record in sent], **{"compression.type": codec})
    assert [message.offset() for message in delivered] == list(range(len(sent)))

    got = read_to_end(reader(TopicPartition(name, 0, OFFSET_BEGINNING), **{"check.crcs": True}))
    assert [message.offset() for message in got] == list(range(len(sent)))
    for record, message in zip(sent, got):
        assert message.key() == record["key"]
        assert message.value() == record["value"]
        assert message.headers() == record.get("headers")
        if "timestamp" in record:
            assert message.timestamp() == (TIMESTAMP_CREATE_TIME, record["timestamp"])


def test_a_key_keeps_its_partition_and_keys_spread(topic):
    name = topic(partitions=6)
    records = [(name, dict(key=f"key-{i % 50}", value=str(i))) for i in range(500)]
    delivered = produce(records, partitioner="murmur2_random")
    home = {}
    for message in delivered:
        assert home.setdefault(message.key(), message.partition()) == message.partition()
    assert set(home.values()) == set(range(6))
    # What murmur2 says of these keys, as the Java client computes it.
    assert [home[f"key-{i}".encode()] for i in range(4)] == [1, 0, 2, 5]


def test_seek_to_an_offset_and_to_a_time(topic):
    name = topic()
    start = HOUR_AGO
    produce([(name, dict(value=str(i), timestamp=start + 1000 * i)) for i in range(100)])

    assert read_to_end(reader(TopicPartition(name, 0, 95)))[0].value() == b"95"

    consumer = reader(TopicPartition(name, 0, OFFSET_BEGINNING))
    times = {start - 1: 0, start + 41_001: 42, start + 42_000: 42, start + 99_001: -1}
    for target, expected in times.items():
        (found,) = consumer.offsets_for_times([TopicPartition(name, 0, target)], timeout=10)
        assert found.offset == expected, f"first record at or after {target}"
    assert consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10) == (0, 100)
    consumer.close()


def test_an_offset_beyond_the_end_resets_as_configured(topic):
    name = topic()
    produce([(name, dict(value=b"only"))])
    resets = reader(TopicPartition(name, 0, 1000), **{"auto.offset.reset": "earliest"})
    assert [message.value() for message in read_to_end(resets)] == [b"only"]

    fails = reader(TopicPartition(name, 0, 1000), **{"auto.offset.reset": "error"})
    error = fails.poll(10).error()
    assert error.code() == KafkaError._AUTO_OFFSET_RESET
    fails.close()


def test_an_empty_topic_has_an_end(topic):
    name = topic(partitions=3)
    assignment = [TopicPartition(name, partition, OFFSET_BEGINNING) for partition in range(3)]
    assert read_to_end(reader(*assignment), partitions=3) == []


def test_the_broker_stamps_log_append_time(topic):
    name = topic(message_timestamp_type="LogAppendTime")
    before = time.time_ns() // 1_000_000
    produce([(name, dict(value=b"x", timestamp=5))])
    (message,) = read_to_end(reader(TopicPartition(name, 0, OFFSET_BEGINNING)))
    kind, stamp = message.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME and before - 1000 <= stamp <= before + 10_000


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_an_idempotent_producer_writes_each_record_once(topic, codec):
    name = topic(partitions=2)
    config = {"enable.idempotence": True, "compression.type": codec, "batch.num.messages": 50}
    produce([(name, dict(value=str(i), partition=i % 2)) for i in range(2000)], **config)
    assignment = [TopicPartition(name, partition, OFFSET_BEGINNING) for partition in range(2)]
    got = read_to_end(reader(*assignment), partitions=2)
    for partition in range(2):
        values = [int(message.value()) for message in got if message.partition() == partition]
        assert values == list(range(partition, 2000, 2))


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_each_level_of_acks(topic, acks):
    name = topic()
    produce([(name, dict(value=str(i))) for i in range(100)], acks=acks)
    deadline = time.monotonic() + 10
    while True:  # acks=0 promises nothing about when
        got = read_to_end(reader(TopicPartition(name, 0, OFFSET_BEGINNING)))
        if len(got) == 100 or time.monotonic() > deadline:
            break
    assert [message.value() for message in got] == [str(i).encode() for i in range(100)]


def test_big_records_pass_and_too_big_ones_are_refused(topic):
    name = topic()
    big = bytes(990_000)
    produce([(name, dict(value=big))] * 3)
    got = read_to_end(reader(TopicPartition(name, 0, OFFSET_BEGINNING), **{"fetch.message.max.bytes": 1000}))
    assert [len(message.value()) for message in got] == [len(big)] * 3

    with pytest.raises(KafkaException) as refused:
        produce([(name, dict(value=bytes(1_100_000)))], **{"message.max.bytes": 2_000_000})
    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_a_topics_own_limit_holds(topic):
    name = topic(max_message_bytes=2000)
    produce([(name, dict(value=bytes(1800)))])
    with pytest.raises(KafkaException) as refused:
        produce([(name, dict(value=bytes(2100)))])
    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_producing_creates_a_topic(fresh):
    name = fresh("auto")
    (delivered,) = produce([(name, dict(value=b"first"))])
    assert (delivered.partition(), delivered.offset()) == (0, 0)


def test_unknown_topics_and_partitions_are_named(topic, fresh):
    config = {"allow.auto.create.topics": False, "topic.metadata.propagation.max.ms": 100}
    with pytest.raises(KafkaException) as unknown:
        produce([(fresh("missing"), dict(value=b"x"))], **config)
    assert unknown.value.args[0].code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)

    with pytest.raises(KafkaException) as unknown:
        produce([(topic(), dict(value=b"x", partition=7))])
    assert unknown.value.args[0].code() == KafkaError._UNKNOWN_PARTITION

    with pytest.raises(KafkaException) as invalid:
        produce([("no spaces allowed", dict(value=b"x"))])
    assert invalid.value.args[0].code() == KafkaError.TOPIC_EXCEPTION
