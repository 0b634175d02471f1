import os
import time
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")

# Times that no retention reaches while a test runs.
HOUR_AGO = time.time_ns() // 1_000_000 - 3_600_000


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.02)


@pytest.fixture
def admin():
    return AdminClient({"bootstrap.servers": BOOTSTRAP})


@pytest.fixture
def fresh():
    """A name that nobody has used before."""
    return lambda what: f"confluent-{what}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def topic(admin, fresh):
    def create(partitions=1, **config):
        name = fresh("topic")
        config = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(10)
        # The controller answers; the broker knows a moment later.
        eventually(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == partitions)
        return name

    return create
