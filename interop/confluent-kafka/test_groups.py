"""Consumer groups: who owns what, who committed what, and who is fenced."""

import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from conftest import BOOTSTRAP


def member(group, **config):
    return Consumer({
        "bootstrap.servers": BOOTSTRAP,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 200,
        **config,
    })


def owned(consumer):
    return {partition.partition for partition in consumer.assignment()}


def poll_until(members, settled, seconds=30):
    """Polls all members in turn until `settled()`; returns the values that they read."""
    values, deadline = [], time.monotonic() + seconds
    while not settled(values):
        assert time.monotonic() < deadline, f"never settled: {[owned(m) for m in members]}"
        for consumer in members:
            message = consumer.poll(0.05)
            if message is not None and not message.error():
                values.append(int(message.value()))
    return values


def shared_fairly(members, partitions):
    """Each partition has exactly one owner and everyone has a share."""
    shares = [owned(consumer) for consumer in members]
    return all(shares) and sorted(p for share in shares for p in share) == list(range(partitions))


def fill(name, numbers, partitions):
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for number in numbers:
        producer.produce(name, value=str(number), partition=number % partitions)
    assert producer.flush(10) == 0


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_members_share_partitions_leave_and_resume(topic, fresh, strategy):
    name, group = topic(partitions=6), fresh("group")
    members = [member(group, **{"partition.assignment.strategy": strategy}) for _ in range(3)]
    for consumer in members:
        consumer.subscribe([name])
    # Before there is anything to read: who takes a partition over uncommitted reads it again.
    poll_until(members, lambda _: shared_fairly(members, 6))
    fill(name, range(60), 6)
    read = poll_until(members, lambda values: len(values) >= 60)
    assert sorted(read) == list(range(60))
    for consumer in members:
        consumer.commit(asynchronous=False)

    members.pop().close()
    again = poll_until(members, lambda _: shared_fairly(members, 6))
    assert again == [], "what was committed is not delivered again"

    fill(name, range(60, 90), 6)
    more = poll_until(members, lambda values: len(values) >= 30)
    assert sorted(more) == list(range(60, 90))
    for consumer in members:
        consumer.commit(asynchronous=False)
        consumer.close()

    fill(name, range(90, 96), 6)
    late = member(group)
    late.subscribe([name])
    assert sorted(poll_until([late], lambda values: len(values) >= 6)) == list(range(90, 96))
    committed = late.committed([TopicPartition(name, p) for p in range(6)], timeout=10)
    assert [partition.offset for partition in committed] == [15] * 6
    late.close()


def test_a_static_member_returns_to_its_partitions_without_a_rebalance(topic, fresh):
    name, group = topic(partitions=4), fresh("group")
    moves = []
    config = {"partition.assignment.strategy": "range"}
    stayer = member(group, **{"group.instance.id": "stayer"}, **config)
    stayer.subscribe([name], on_assign=lambda _, parts: moves.append(sorted(p.partition for p in parts)))
    bouncer = member(group, **{"group.instance.id": "bouncer"}, **config)
    bouncer.subscribe([name])
    poll_until([stayer, bouncer], lambda _: shared_fairly([stayer, bouncer], 4))
    before, moves_before = owned(bouncer), len(moves)

    bouncer.close()
    bouncer = member(group, **{"group.instance.id": "bouncer"}, **config)
    bouncer.subscribe([name])
    poll_until([stayer, bouncer], lambda _: owned(bouncer))
    assert owned(bouncer) == before
    assert len(moves) == moves_before, "the other member did not notice"
    stayer.close()
    bouncer.close()


def test_the_elder_of_two_with_one_static_id_is_fenced(topic, fresh):
    name, group = topic(), fresh("group")
    elder = member(group, **{"group.instance.id": "twin"})
    elder.subscribe([name])
    poll_until([elder], lambda _: owned(elder))
    younger = member(group, **{"group.instance.id": "twin"})
    younger.subscribe([name])
    poll_until([younger], lambda _: owned(younger))
    deadline = time.monotonic() + 10
    with pytest.raises(KafkaException) as fenced:
        while time.monotonic() < deadline:
            message = elder.poll(0.1)
            if message is not None and message.error():
                raise KafkaException(message.error())
    assert fenced.value.args[0].code() == KafkaError._FATAL or fenced.value.args[0].fatal()
    younger.close()
    elder.close()


def test_a_commit_from_outside_an_active_group_is_refused(topic, fresh):
    name, group = topic(), fresh("group")
    insider = member(group)
    insider.subscribe([name])
    poll_until([insider], lambda _: owned(insider))
    outsider = member(group)
    with pytest.raises(KafkaException) as refused:
        outsider.commit(offsets=[TopicPartition(name, 0, 5)], asynchronous=False)
    assert refused.value.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID
    outsider.close()
    insider.close()


def test_admin_sees_and_changes_groups(admin, topic, fresh):
    name, group = topic(partitions=2), fresh("group")
    consumer = member(group, **{"client.id": "seen-by-admin"})
    consumer.subscribe([name])
    poll_until([consumer], lambda _: owned(consumer) == {0, 1})
    offsets = [TopicPartition(name, 0, 3, metadata="why"), TopicPartition(name, 1, 4)]
    consumer.commit(offsets=offsets, asynchronous=False)

    described = admin.describe_consumer_groups([group])[group].result(10)
    assert described.state.name == "STABLE" and described.partition_assignor == "range"
    (one,) = described.members
    assert one.client_id == "seen-by-admin"
    assert {p.partition for p in one.assignment.topic_partitions} == {0, 1}

    change = [ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 1)])]
    (refused_partition,) = admin.alter_consumer_group_offsets(change)[group].result(10).topic_partitions
    assert refused_partition.error.code() == KafkaError.UNKNOWN_MEMBER_ID
    with pytest.raises(KafkaException) as refused:
        admin.delete_consumer_groups([group])[group].result(10)
    assert refused.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    consumer.close()

    admin.alter_consumer_group_offsets(change)[group].result(10)
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(10)
    assert {p.partition: p.offset for p in listed.topic_partitions} == {0: 1, 1: 4}
    found = admin.list_consumer_groups().result(10).valid
    assert group in {listing.group_id for listing in found}

    admin.delete_consumer_groups([group])[group].result(10)
    with pytest.raises(KafkaException) as gone:
        admin.delete_consumer_groups([group])[group].result(10)
    assert gone.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND
