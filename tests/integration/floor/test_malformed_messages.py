"""What is no message ends no worker: it is read, counted and forgotten, and the next one is heard."""

import uuid

import pytest
import redis
from django.conf import settings
from kombu import Exchange, Queue

from tests.faults import messages
from tests.servers.valkey import Valkey
from vigil.celery import app
from vigil.telemetry import metrics

NO_MESSAGE = messages.malformed()[:8]


@pytest.mark.parametrize("noise", NO_MESSAGE, ids=[str(number) for number in range(len(NO_MESSAGE))])
def test_noise_in_the_queue_is_passed_over(broker: Valkey, noise: bytes) -> None:
    name = f"noise-{uuid.uuid4().hex}"
    heard: list[object] = []
    client = redis.Redis.from_url(settings.VIGIL_REDIS_URL)
    before = metrics.messages_refused_total._value.get()
    with app.connection_for_read() as connection:
        queue = Queue(name, Exchange(name), routing_key=name)
        with connection.Consumer(queue, callbacks=[lambda body, message: heard.append(body)], no_ack=True):
            client.lpush(name, noise)
            with connection.Producer() as producer:
                producer.publish({"good": True}, exchange=name, routing_key=name)
            while not heard:
                connection.drain_events(timeout=5)
    client.close()
    assert heard == [{"good": True}]
    assert metrics.messages_refused_total._value.get() == before + 1
