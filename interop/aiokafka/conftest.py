import os
import time
import uuid

import pytest

BOOTSTRAP = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")

# Times that no retention reaches while a test runs.
HOUR_AGO = time.time_ns() // 1_000_000 - 3_600_000


@pytest.fixture
def fresh():
    """A name that nobody has used before."""
    return lambda what: f"aiokafka-{what}-{uuid.uuid4().hex[:8]}"
