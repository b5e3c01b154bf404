"""What applications in Python do most, with the unmodified azure-servicebus. Prints one line of JSON for each test.

    python smoke.py [pattern]    SERVICEBUS_CONNECTION_STRING says where, SSL_CERT_FILE whom to trust
"""

import json
import os
import re
import sys
import time
import traceback
import uuid
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
)
from azure.servicebus.management import ServiceBusAdministrationClient, SqlRuleFilter

CONNECTION_STRING = os.environ["SERVICEBUS_CONNECTION_STRING"]
CERTIFICATE = os.environ["SSL_CERT_FILE"]
WAIT_S = 20

administration = ServiceBusAdministrationClient.from_connection_string(CONNECTION_STRING, connection_verify=CERTIFICATE)


@contextmanager
def opened(**properties):
    """A client, and a queue of its own."""
    name = f"python-{uuid.uuid4()}"
    administration.create_queue(name, **properties)
    try:
        with ServiceBusClient.from_connection_string(
            CONNECTION_STRING, connection_verify=CERTIFICATE, retry_total=1
        ) as client:
            yield client, name
    finally:
        administration.delete_queue(name)


def send(client, name, *messages):
    with client.get_queue_sender(name) as sender:
        sender.send_messages(list(messages))


def receive(receiver, count):
    found = []
    deadline = time.monotonic() + WAIT_S
    while len(found) < count and time.monotonic() < deadline:
        found += receiver.receive_messages(max_message_count=count - len(found), max_wait_time=2)
    assert len(found) == count, f"{len(found)} of {count} messages came"
    return found


def test_a_message_comes_back_as_it_was_sent():
    with opened() as (client, name):
        sent = ServiceBusMessage(
            b"body",
            application_properties={"n": 1, "text": "t", "yes": True, "x": 1.5},
            subject="subject",
            content_type="text/plain",
            correlation_id="c",
            message_id="m",
            time_to_live=timedelta(minutes=5),
        )
        send(client, name, sent)
        with client.get_queue_receiver(name) as receiver:
            (message,) = receive(receiver, 1)
            assert b"".join(message.body) == b"body"
            properties = {key.decode(): value for key, value in message.application_properties.items()}
            assert properties == {"n": 1, "text": b"t", "yes": True, "x": 1.5}, properties
            assert (message.subject, message.content_type, message.correlation_id) == ("subject", "text/plain", "c")
            assert (message.message_id, message.delivery_count, message.sequence_number) == ("m", 0, 1)
            receiver.complete_message(message)
        assert administration.get_queue_runtime_properties(name).total_message_count == 0


def test_a_batch_arrives_whole_and_in_order():
    with opened() as (client, name):
        with client.get_queue_sender(name) as sender:
            batch = sender.create_message_batch()
            for n in range(50):
                batch.add_message(ServiceBusMessage(str(n)))
            sender.send_messages(batch)
        with client.get_queue_receiver(name) as receiver:
            messages = receive(receiver, 50)
            assert [str(message) for message in messages] == [str(n) for n in range(50)]
            for message in messages:
                receiver.complete_message(message)


def test_an_abandoned_message_comes_again_and_a_dead_letter_keeps_its_reason():
    with opened() as (client, name):
        send(client, name, ServiceBusMessage("x"))
        with client.get_queue_receiver(name) as receiver:
            receiver.abandon_message(receive(receiver, 1)[0])
            (again,) = receive(receiver, 1)
            assert again.delivery_count == 1, again.delivery_count
            receiver.dead_letter_message(again, reason="why", error_description="because")
        with client.get_queue_receiver(name, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            (message,) = receive(dead, 1)
            assert (message.dead_letter_reason, message.dead_letter_error_description) == ("why", "because")
            dead.complete_message(message)


def test_a_deferred_message_is_received_by_its_number():
    with opened() as (client, name):
        send(client, name, ServiceBusMessage("x"))
        with client.get_queue_receiver(name) as receiver:
            (message,) = receive(receiver, 1)
            receiver.defer_message(message)
            (deferred,) = receiver.receive_deferred_messages(message.sequence_number)
            assert str(deferred) == "x"
            receiver.complete_message(deferred)


def test_peeking_and_renewing_a_lock():
    with opened() as (client, name):
        send(client, name, ServiceBusMessage("x"), ServiceBusMessage("y"))
        with client.get_queue_receiver(name) as receiver:
            assert [str(message) for message in receiver.peek_messages(10)] == ["x", "y"]
            (message,) = receive(receiver, 1)
            until = message.locked_until_utc
            time.sleep(0.05)
            assert receiver.renew_message_lock(message) > until
            receiver.complete_message(message)


def test_a_scheduled_message_comes_when_it_is_due_and_a_cancelled_one_does_not():
    with opened() as (client, name):
        with client.get_queue_sender(name) as sender:
            due = datetime.now(timezone.utc) + timedelta(seconds=2)
            sender.schedule_messages(ServiceBusMessage("due"), due)
            sender.cancel_scheduled_messages(sender.schedule_messages(ServiceBusMessage("cancelled"), due))
        assert administration.get_queue_runtime_properties(name).scheduled_message_count == 1
        with client.get_queue_receiver(name) as receiver:
            (message,) = receive(receiver, 1)
            assert str(message) == "due"
            receiver.complete_message(message)


def test_a_session_has_its_own_messages_and_a_state():
    with opened(requires_session=True) as (client, name):
        send(client, name, *(ServiceBusMessage(str(n), session_id=f"s{n % 2}") for n in range(6)))
        with client.get_queue_receiver(name, session_id="s1") as receiver:
            messages = receive(receiver, 3)
            assert [str(message) for message in messages] == ["1", "3", "5"]
            receiver.session.set_state(b"state")
            assert receiver.session.get_state() == b"state"
            assert receiver.session.renew_lock() is not None
            for message in messages:
                receiver.complete_message(message)
        with client.get_queue_receiver(name, session_id=NEXT_AVAILABLE_SESSION) as receiver:
            assert receiver.session.session_id == "s0"
            for message in receive(receiver, 3):
                receiver.complete_message(message)


def test_a_subscription_gets_what_its_rule_says():
    topic = f"python-{uuid.uuid4()}"
    administration.create_topic(topic)
    try:
        administration.create_subscription(topic, "some")
        administration.delete_rule(topic, "some", "$Default")
        administration.create_rule(topic, "some", "odd", filter=SqlRuleFilter("n % 2 = 1"))
        with ServiceBusClient.from_connection_string(CONNECTION_STRING, connection_verify=CERTIFICATE) as client:
            with client.get_topic_sender(topic) as sender:
                sender.send_messages([ServiceBusMessage(str(n), application_properties={"n": n}) for n in range(4)])
            with client.get_subscription_receiver(topic, "some") as receiver:
                messages = receive(receiver, 2)
                assert [str(message) for message in messages] == ["1", "3"]
                for message in messages:
                    receiver.complete_message(message)
    finally:
        administration.delete_topic(topic)


def test_refusals_are_the_errors_that_applications_catch():
    with opened() as (client, name):
        with client.get_queue_sender(name) as sender:
            try:
                sender.send_messages(ServiceBusMessage(bytes(300 * 1024)))
            except MessageSizeExceededError:
                pass
            else:
                raise AssertionError("a message that is too large was taken")
        try:
            with client.get_queue_receiver("there-is-none") as receiver:
                receiver.receive_messages(max_wait_time=1)
        except (MessagingEntityNotFoundError, ServiceBusAuthenticationError):
            pass  # the SDK makes the second of a token that is refused because there is no such queue
        else:
            raise AssertionError("a queue that does not exist was received from")


def main() -> None:
    pattern = re.compile(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, test in list(globals().items()):
        if not name.startswith("test_") or not pattern.search(name):
            continue
        began = time.monotonic()
        outcome, output = "passed", ""
        try:
            test()
        except Exception:
            outcome, output = "failed", traceback.format_exc()
        ms = (time.monotonic() - began) * 1000
        print(json.dumps({"test": name, "outcome": outcome, "ms": ms, "output": output}), flush=True)


main()
