import os
import uuid

import pytest

BOOTSTRAP = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")


@pytest.fixture
def fresh():
    """A name that nobody has used before."""
    return lambda what: f"aiokafka-{what}-{uuid.uuid4().hex[:8]}"
