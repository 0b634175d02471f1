"""Consumer groups with the pure Python client."""

import threading
import time
from concurrent.futures import Future

import pytest
from conftest import BOOTSTRAP
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError


class Member(threading.Thread):
    """One consumer that polls on its own thread, as each member of a real group does."""

    def __init__(self, group, name, **config):
        super().__init__(daemon=True)
        self.consumer = KafkaConsumer(
            bootstrap_servers=BOOTSTRAP,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=200,
            metadata_max_age_ms=1000,
            **config,
        )
        # Version 3.0.12 may join before it knows the partitions and then assigns none of them:
        # look once first, and look again soon.
        self.consumer.partitions_for_topic(name)
        self.consumer.subscribe([name])
        self.values, self.owned, self.tasks, self.leaving = [], set(), [], threading.Event()
        self.failure = None
        self.start()

    def __repr__(self):
        said = f"owns {sorted(self.owned)}, read {len(self.values)} records"
        return f"{said}, failed: {self.failure!r}" if self.failure else said

    def run(self):
        try:
            self.poll_until_told_to_leave()
        except Exception as error:
            self.failure = error

    def poll_until_told_to_leave(self):
        while not self.leaving.is_set():
            for batch in self.consumer.poll(timeout_ms=50).values():
                self.values.extend(int(record.value) for record in batch)
            self.owned = {partition.partition for partition in self.consumer.assignment()}
            while self.tasks:
                self.tasks.pop()()

    def ask(self, task):
        """Runs `task(consumer)` between two polls and returns its answer or raises its error."""
        answer = Future()

        def attempt():
            try:
                answer.set_result(task(self.consumer))
            except Exception as error:
                answer.set_exception(error)

        self.tasks.append(attempt)
        return answer.result(20)

    def leave(self):
        self.leaving.set()
        self.join(20)
        self.consumer.close()


def wait_until(condition, what, members, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        is_late = time.monotonic() >= deadline
        if is_late or any(member.failure for member in members):
            pytest.fail(f"not {what}: {members}", pytrace=False)
        time.sleep(0.02)


def shared_fairly(members, partitions):
    """Each partition has exactly one owner and everyone has a share."""
    shares = [set(member.owned) for member in members]
    return all(shares) and sorted(p for share in shares for p in share) == list(range(partitions))


def commit(member):
    """Commits what was read and returns what is committed for each partition owned."""

    def task(consumer):
        consumer.commit()
        return [consumer.committed(partition) or 0 for partition in consumer.assignment()]

    return member.ask(task)


def everything(members):
    return sorted(value for member in members for value in member.values)


def fill(name, numbers, partitions):
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    for number in numbers:
        producer.send(name, str(number).encode(), partition=number % partitions)
    producer.close()


def test_members_share_partitions_leave_and_resume(topic, fresh):
    name, group = topic(partitions=4), fresh("group")
    fill(name, range(40), 4)
    members = [Member(group, name) for _ in range(2)]
    wait_until(lambda: shared_fairly(members, 4), "shared by two", members)
    # One may have read all before the other came: what counts is what the owners commit.
    wait_until(lambda: sorted(sum(map(commit, members), [])) == [10] * 4, "read by its owners", members)
    assert set(everything(members)) == set(range(40))

    members.pop().leave()
    (rest,) = members
    rest.values.clear()
    wait_until(lambda: shared_fairly(members, 4), "taken over by the one that is left", members)
    fill(name, range(40, 60), 4)
    wait_until(lambda: len(rest.values) >= 20, "read by the one that is left", members)
    assert sorted(rest.values) == list(range(40, 60)), "what was committed is not delivered again"
    assert commit(rest) == [15] * 4
    rest.leave()

    fill(name, range(60, 64), 4)
    late = Member(group, name)
    wait_until(lambda: len(late.values) >= 4, "read by a late one", [late])
    assert sorted(late.values) == list(range(60, 64))
    committed = late.ask(lambda consumer: [consumer.committed(TopicPartition(name, p)) for p in range(4)])
    assert committed == [15] * 4
    late.leave()


def test_a_commit_from_outside_an_active_group_is_refused(topic, fresh):
    name, group = topic(), fresh("group")
    active = Member(group, name)
    wait_until(lambda: active.owned, "owned by anyone", [active])
    outsider = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=group, enable_auto_commit=False)
    outsider.assign([TopicPartition(name, 0)])
    with pytest.raises(CommitFailedError):
        outsider.commit({TopicPartition(name, 0): OffsetAndMetadata(1, "", -1)})
    outsider.close()
    active.leave()


def test_admin_sees_and_changes_groups(admin, topic, fresh):
    name, group = topic(partitions=2), fresh("group")
    first, second = TopicPartition(name, 0), TopicPartition(name, 1)
    member = Member(group, name, client_id="seen-by-admin")
    wait_until(lambda: member.owned == {0, 1}, "owned by one", [member])
    offsets = {first: OffsetAndMetadata(3, "why", -1), second: OffsetAndMetadata(4, "", -1)}
    member.ask(lambda consumer: consumer.commit(offsets))

    described = admin.describe_groups([group])[group]
    assert described["group_state"] == "Stable"
    assert [seen["client_id"] for seen in described["members"]] == ["seen-by-admin"]
    error = admin.alter_group_offsets(group, {first: OffsetAndMetadata(1, "", -1)})[first]
    assert error.__name__ == "UnknownMemberIdError"
    member.leave()

    admin.alter_group_offsets(group, {first: OffsetAndMetadata(1, "", -1)})
    offsets = admin.list_group_offsets(group)[group]
    assert {partition: committed.offset for partition, committed in offsets.items()} == {first: 1, second: 4}
    admin.delete_group_offsets(group, [second])
    assert set(admin.list_group_offsets(group)[group]) == {first}
    assert group in str(admin.list_groups())
    admin.delete_groups([group])
    assert admin.list_group_offsets(group)[group] == {}
