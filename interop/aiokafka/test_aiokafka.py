"""The asyncio client: produce, consume, seek, share a group, administrate."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    InvalidPartitionsError,
    MessageSizeTooLargeError,
)
from conftest import BOOTSTRAP, HOUR_AGO


@asynccontextmanager
async def running(client):
    await client.start()
    try:
        yield client
    finally:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


def producer(**config):
    return running(AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **config))


def consumer(*topics, **config):
    config = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **config}
    return AIOKafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, **config)


def admin():
    return running(AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP))


async def create(name, partitions=1, **config):
    async with admin() as client:
        config = {key.replace("_", "."): str(value) for key, value in config.items()}
        answer = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
        assert [error for _, error, *_ in answer.topic_errors] == [0]
        async with asyncio.timeout(20):  # the controller answers; the broker knows a moment later
            while name not in await client.list_topics():
                pass
    return name


async def send(name, records, **config):
    async with producer(**config) as client:
        futures = [await client.send(name, **record) for record in records]
        return [await future for future in futures]


async def read(name, count, partitions=1, **config):
    async with running(consumer(**config)) as client:
        client.assign([TopicPartition(name, partition) for partition in range(partitions)])
        return [await asyncio.wait_for(client.getone(), 20) for _ in range(count)]


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_records_come_back_as_sent(fresh, codec):
    async def scenario():
        name = await create(fresh("topic"))
        sent = [
            dict(key=f"k{i}".encode(), value=bytes([i % 256]) * 300, timestamp_ms=HOUR_AGO + i,
                 headers=[("trace", b"\x00\xff"), ("trace", b"again")])
            for i in range(300)
        ]
        sent += [dict(value=b"no key"), dict(key=b"no value", value=None)]
        answers = await send(name, sent, compression_type=codec)
        assert [answer.offset for answer in answers] == list(range(len(sent)))
        for expected, record in zip(sent, await read(name, len(sent))):
            assert (record.key, record.value) == (expected.get("key"), expected["value"])
            assert list(record.headers) == expected.get("headers", [])
            if "timestamp_ms" in expected:
                assert (record.timestamp, record.timestamp_type) == (expected["timestamp_ms"], 0)

    asyncio.run(scenario())


def test_a_key_keeps_its_partition_and_keys_spread(fresh):
    async def scenario():
        name = await create(fresh("topic"), partitions=6)
        answers = await send(name, [dict(key=f"key-{i}".encode(), value=b"x") for i in range(50)])
        homes = [answer.partition for answer in answers]
        assert set(homes) == set(range(6)) and homes[:4] == [1, 0, 2, 5]

    asyncio.run(scenario())


def test_seek_to_an_offset_and_to_a_time(fresh):
    async def scenario():
        name, start = await create(fresh("topic")), HOUR_AGO
        await send(name, [dict(value=str(i).encode(), timestamp_ms=start + 1000 * i) for i in range(100)])
        partition = TopicPartition(name, 0)
        async with running(consumer()) as client:
            client.assign([partition])
            client.seek(partition, 95)
            assert (await client.getone()).value == b"95"
            found = (await client.offsets_for_times({partition: start + 41_001}))[partition]
            assert (found.offset, found.timestamp) == (42, start + 42_000)
            client.seek(partition, found.offset)
            assert (await client.getone()).value == b"42"
            assert (await client.offsets_for_times({partition: start + 99_001}))[partition] is None
            await client.seek_to_beginning(partition)
            assert (await client.getone()).value == b"0"
            await client.seek_to_end(partition)
            assert await client.getmany(timeout_ms=200) == {}
            assert await client.end_offsets([partition]) == {partition: 100}

    asyncio.run(scenario())


def test_members_share_partitions_leave_and_resume(fresh):
    async def scenario():
        name, group = await create(fresh("topic"), partitions=4), fresh("group")
        member = lambda: consumer(name, group_id=group, session_timeout_ms=10_000, heartbeat_interval_ms=200)

        async def fill(numbers):
            async with producer() as client:
                for number in numbers:
                    await client.send_and_wait(name, str(number).encode(), partition=number % 4)

        async def read_until(members, settled):
            values = []
            async with asyncio.timeout(30):
                while not settled(values):
                    for client in members:
                        for batch in (await client.getmany(timeout_ms=50)).values():
                            values += [int(record.value) for record in batch]
            return values

        def shared_fairly(members):
            shares = [client.assignment() for client in members]
            return all(shares) and sorted(p.partition for share in shares for p in share) == [0, 1, 2, 3]

        await fill(range(40))
        members = [member() for _ in range(2)]
        await asyncio.gather(*(client.start() for client in members))
        wanted = set(range(40))
        read = await read_until(members, lambda values: shared_fairly(members) and wanted <= set(values))
        assert set(read) == wanted
        for client in members:
            await client.commit()

        await members.pop().stop()
        assert await read_until(members, lambda _: shared_fairly(members)) == []
        await fill(range(40, 60))
        assert sorted(await read_until(members, lambda values: len(values) >= 20)) == list(range(40, 60))
        await members[0].commit()

        outsider = consumer(group_id=group)
        async with running(outsider):
            outsider.assign([TopicPartition(name, 0)])
            with pytest.raises(CommitFailedError):
                await outsider.commit({TopicPartition(name, 0): 1})
        await members[0].stop()

        await fill(range(60, 64))
        async with running(member()) as late:
            assert sorted(await read_until([late], lambda values: len(values) >= 4)) == list(range(60, 64))
            assert [await late.committed(TopicPartition(name, p)) for p in range(4)] == [15] * 4
        async with admin() as client:
            assert (group, "consumer") in [listed[:2] for listed in await client.list_consumer_groups()]
            offsets = await client.list_consumer_group_offsets(group)
            assert {partition.partition: offset.offset for partition, offset in offsets.items()} == {
                0: 15, 1: 15, 2: 15, 3: 15}

    asyncio.run(scenario())


def test_an_idempotent_producer_writes_each_record_once(fresh):
    async def scenario():
        name = await create(fresh("topic"))
        values = [str(i).encode() for i in range(1000)]
        await send(name, [dict(value=value) for value in values], enable_idempotence=True, max_batch_size=500)
        assert [record.value for record in await read(name, 1000)] == values

    asyncio.run(scenario())


def test_big_records_pass_and_too_big_ones_are_refused(fresh):
    async def scenario():
        name = await create(fresh("topic"))
        big = bytes(1_000_000)
        await send(name, [dict(value=big)] * 2, max_batch_size=1_040_000)
        got = await read(name, 2, max_partition_fetch_bytes=2_000_000)
        assert [len(record.value) for record in got] == [len(big)] * 2
        with pytest.raises(MessageSizeTooLargeError):
            await send(name, [dict(value=bytes(1_100_000))], max_request_size=2_000_000, max_batch_size=2_000_000)
        with pytest.raises(MessageSizeTooLargeError):
            small = await create(fresh("topic"), max_message_bytes=2000)
            await send(small, [dict(value=bytes(2100))])

    asyncio.run(scenario())


def test_admin_calls_and_their_refusals(fresh):
    async def scenario():
        name = await create(fresh("topic"), partitions=2)
        code = lambda answer: answer.topic_errors[0][1]
        async with admin() as client:
            assert code(await client.create_topics([NewTopic(name, 1, 1)])) == 36
            assert code(await client.create_topics([NewTopic("not/allowed", 1, 1)])) == 17
            assert code(await client.create_topics([NewTopic(fresh("t"), 1, 2)])) == 38
            assert code(await client.create_partitions({name: NewPartitions(3)})) == 0
            with pytest.raises(InvalidPartitionsError):
                await client.create_partitions({name: NewPartitions(3)})
            resource = ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": "1234"})
            await client.alter_configs([resource])
            configs = {}
            async with asyncio.timeout(20):
                while configs.get("retention.ms") != "1234":
                    (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
                    configs = {entry[0]: entry[1] for entry in answer.resources[0][4]}
            assert configs["cleanup.policy"] == "delete"

            await send(name, [dict(value=b"x", partition=0)] * 5)
            partition = TopicPartition(name, 0)
            assert await client.delete_records({partition: RecordsToDelete(3)}) == {partition: 3}
            assert [record.offset for record in await read(name, 2)] == [3, 4]
            assert name in await client.list_topics()
            assert len((await client.describe_cluster())["brokers"]) == 1
            assert (await client.delete_topics([name])).topic_error_codes == [(name, 0)]

    asyncio.run(scenario())


def test_producing_creates_a_topic_and_an_empty_one_stays_empty(fresh):
    async def scenario():
        (answer,) = await send(fresh("auto"), [dict(value=b"first")])
        assert (answer.partition, answer.offset) == (0, 0)
        empty = await create(fresh("topic"))
        async with running(consumer()) as client:
            client.assign([TopicPartition(empty, 0)])
            assert await client.getmany(timeout_ms=200) == {}
            assert await client.position(TopicPartition(empty, 0)) == 0
            with pytest.raises(IllegalStateError):
                await client.position(TopicPartition(empty, 5))

    asyncio.run(scenario())
