import os
import time
import uuid

import pytest
from kafka import KafkaAdminClient

BOOTSTRAP = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")

# Times that no retention reaches while a test runs.
HOUR_AGO = time.time_ns() // 1_000_000 - 3_600_000


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def admin():
    client = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    yield client
    client.close()


@pytest.fixture
def fresh():
    """A name that nobody has used before."""
    return lambda what: f"kafka-python-{what}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def topic(admin, fresh):
    def create(partitions=1, **config):
        name = fresh("topic")
        configs = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin.create_topics(
            {name: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}},
            wait_for_metadata=True,
        )
        return name

    return create
