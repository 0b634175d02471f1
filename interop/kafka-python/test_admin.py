"""Admin calls of the pure Python client."""

import pytest
from conftest import BOOTSTRAP, HOUR_AGO, eventually
from kafka import KafkaProducer, OffsetSpec, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)


def test_topics_live_and_die(admin, fresh):
    name = fresh("topic")
    admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}})
    admin.create_partitions({name: 3})
    with pytest.raises(InvalidPartitionsError):
        admin.create_partitions({name: 3})
    assert name in admin.list_topics()
    admin.delete_topics([name])
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_topics([name])


def test_topics_are_refused_by_class(admin, fresh):
    with pytest.raises(InvalidTopicError):
        admin.create_topics({"not/allowed": {}})
    with pytest.raises(InvalidReplicationFactorError):
        admin.create_topics({fresh("topic"): {"num_partitions": 1, "replication_factor": 3}})
    admin.create_topics({fresh("topic"): {}}, validate_only=True)


def test_configs_change(admin, topic):
    name = topic()

    def modified():
        described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        (configs,) = [topics[name] for topics in described.values()]
        return {key: config["value"] for key, config in configs.items()}

    assert modified() == {}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": "1234"})])
    eventually(lambda: modified() == {"retention.ms": "1234"})
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": ("DELETE", None)})])
    eventually(lambda: modified() == {})


def test_the_cluster_describes_itself(admin):
    cluster = admin.describe_cluster()
    assert cluster["cluster_id"] and len(cluster["brokers"]) == 1
    quorum = admin.describe_metadata_quorum()
    assert "current_voters" in str(quorum)
    assert admin.describe_log_dirs()


def test_records_are_deleted_up_to_an_offset(admin, topic):
    name = topic()
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    for i in range(10):
        producer.send(name, b"x", timestamp_ms=HOUR_AGO + (i * 7) % 10)
    producer.close()
    partition = TopicPartition(name, 0)

    def offset(spec):
        return admin.list_partition_offsets({partition: spec})[partition].offset

    assert [offset(OffsetSpec.EARLIEST), offset(OffsetSpec.LATEST), offset(OffsetSpec.MAX_TIMESTAMP)] == [0, 10, 7]
    admin.delete_records({partition: 4})
    assert [offset(OffsetSpec.EARLIEST), offset(OffsetSpec.LATEST)] == [4, 10]
    with pytest.raises(OffsetOutOfRangeError):
        admin.delete_records({partition: 11})


def test_producers_are_known_to_their_partition(admin, topic):
    name = topic()
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=True)
    producer.send(name, b"x").get(10)
    described = admin.describe_producers([TopicPartition(name, 0)])
    assert "producer_id" in str(described)
    producer.close()
