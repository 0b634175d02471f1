"""Admin calls of librdkafka."""

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from conftest import BOOTSTRAP, HOUR_AGO, eventually


def code_of(future):
    with pytest.raises(KafkaException) as refused:
        future.result(10)
    return refused.value.args[0].code()


def create(admin, name, partitions=1, replicas=1, config=None, **kwargs):
    new = NewTopic(name, partitions, replicas, config=config or {})
    return admin.create_topics([new], **kwargs)[name]


def test_topics_live_and_die(admin, fresh):
    name = fresh("topic")
    create(admin, name, 3, config={"retention.ms": "60000"}).result(10)
    eventually(lambda: not admin.list_topics(name, timeout=10).topics[name].error)
    described = admin.describe_topics(TopicCollection([name]))[name].result(10)
    assert [p.id for p in described.partitions] == [0, 1, 2]
    assert all(len(p.replicas) == len(p.isr) == 1 and p.leader is not None for p in described.partitions)
    assert not described.is_internal

    admin.create_partitions([NewPartitions(name, 5)])[name].result(10)
    eventually(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 5)
    admin.delete_topics([name])[name].result(10)
    assert code_of(admin.delete_topics([name])[name]) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_topics_are_refused_by_class(admin, topic, fresh):
    assert code_of(create(admin, topic())) == KafkaError.TOPIC_ALREADY_EXISTS
    assert code_of(create(admin, "not/allowed")) == KafkaError.TOPIC_EXCEPTION
    assert code_of(create(admin, "x" * 250)) == KafkaError.TOPIC_EXCEPTION
    assert code_of(create(admin, fresh("t"), replicas=2)) == KafkaError.INVALID_REPLICATION_FACTOR
    assert code_of(create(admin, fresh("t"), config={"no.such.key": "1"})) == KafkaError.INVALID_CONFIG
    assert code_of(create(admin, fresh("t"), config={"retention.ms": "soon"})) == KafkaError.INVALID_CONFIG
    name = topic(partitions=2)
    assert code_of(admin.create_partitions([NewPartitions(name, 2)])[name]) == KafkaError.INVALID_PARTITIONS
    valid = fresh("t")
    create(admin, valid, validate_only=True).result(10)
    assert valid not in admin.list_topics(timeout=10).topics


def test_configs_change_step_by_step(admin, topic):
    name = topic()
    what = lambda *entries: ConfigResource(ResourceType.TOPIC, name, incremental_configs=list(entries))

    def alter(*entries):
        (future,) = admin.incremental_alter_configs([what(*entries)]).values()
        return future

    def value(key):
        (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
        entry = future.result(10)[key]
        return entry.value, entry.is_default

    eventually(lambda: value("retention.ms") == ("604800000", True))
    alter(ConfigEntry("retention.ms", "1234", incremental_operation=AlterConfigOpType.SET)).result(10)
    eventually(lambda: value("retention.ms") == ("1234", False))
    alter(ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND)).result(10)
    eventually(lambda: value("cleanup.policy") == ("delete,compact", False))
    alter(ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SUBTRACT)).result(10)
    eventually(lambda: value("cleanup.policy") == ("delete", False))
    alter(ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE)).result(10)
    eventually(lambda: value("retention.ms") == ("604800000", True))
    bad = ConfigEntry("max.message.bytes", "-5", incremental_operation=AlterConfigOpType.SET)
    assert code_of(alter(bad)) == KafkaError.INVALID_CONFIG


def test_the_cluster_describes_itself(admin):
    cluster = admin.describe_cluster().result(10)
    assert cluster.cluster_id and cluster.controller is not None
    assert [node.id for node in cluster.nodes] == [cluster.controller.id]
    (future,) = admin.describe_configs([ConfigResource(ResourceType.BROKER, str(cluster.nodes[0].id))]).values()
    assert future.result(10)["node.id"].value == str(cluster.nodes[0].id)


def test_records_are_deleted_up_to_an_offset(admin, topic):
    name = topic()
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for i in range(10):
        producer.produce(name, str(i), timestamp=HOUR_AGO + (i * 7) % 10)
    assert producer.flush(10) == 0
    partition = TopicPartition(name, 0)

    def offset(spec):
        return admin.list_offsets({partition: spec})[partition].result(10).offset

    assert [offset(OffsetSpec.earliest()), offset(OffsetSpec.latest())] == [0, 10]
    assert offset(OffsetSpec.max_timestamp()) == 7  # 7 * 7 % 10 = 9 is the greatest
    assert offset(OffsetSpec.for_timestamp(HOUR_AGO + 8)) == 4
    (deleted,) = admin.delete_records([TopicPartition(name, 0, 4)]).values()
    assert deleted.result(10).low_watermark == 4
    assert [offset(OffsetSpec.earliest()), offset(OffsetSpec.latest())] == [4, 10]
    (beyond,) = admin.delete_records([TopicPartition(name, 0, 11)]).values()
    assert code_of(beyond) == KafkaError.OFFSET_OUT_OF_RANGE
