"""Somebody else's system: it knows nothing of Millrace but a Service Bus queue or subscription, and uses nothing but
Azure's SDK. What it does with a message takes effect once, however often the message comes.

    python consumer.py --run ../../.millrace/run.json                    a local Millrace
    SERVICEBUS_NAMESPACE=acme.servicebus.windows.net python consumer.py  Azure, with your own or a managed identity
"""

import signal
import sys
import threading
from contextlib import ExitStack

from azure.servicebus import NEXT_AVAILABLE_SESSION, AutoLockRenewer, ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import OperationTimeoutError, ServiceBusError

from prediction import Poison, read_prediction
from settings import Settings, read_settings
from store import Store

AT_ONCE = 20  # messages taken at once; all of them are handled before the program stops
SESSIONS = 4  # sessions held at once: each is handled in order, and none waits for another
IDLE_S = 1  # how long one wait for messages, or for a session, lasts
RENEW_S = 300  # longer than handling what was taken at once may take
PAUSE_S = 1

_printing = threading.Lock()


def say(line: str) -> None:
    with _printing:
        print(line, flush=True)


def handle(receiver: ServiceBusReceiver, message, store: Store) -> bool:
    """Handles a message and settles it: completed after our own commit, never before. False: it went back."""
    read = read_prediction(message)
    if isinstance(read, Poison):
        receiver.dead_letter_message(message, reason=read.reason, error_description=read.description)
        say(f"dead-lettered {message.message_id}: {read.reason}")
        return True
    try:
        first = store.handle_once(read)
    except Exception as error:  # our own trouble is not the message's fault
        say(f"not handled {read.message_id}: {error}")
        receiver.abandon_message(message)
        return False
    receiver.complete_message(message)
    correlation = read.correlation_id or "none"
    say(f"{'done' if first else 'repeat'} {read.message_id} {read.model} {read.state} (correlation {correlation})")
    return True


def receive(client: ServiceBusClient, settings: Settings, store: Store, stopping: threading.Event) -> None:
    """Receives until told to stop, or until the link is lost."""
    with AutoLockRenewer(max_lock_renewal_duration=RENEW_S) as renewer:
        with open_receiver(client, settings, auto_lock_renewer=renewer) as receiver:
            while not stopping.is_set():
                for message in receiver.receive_messages(max_message_count=AT_ONCE, max_wait_time=IDLE_S):
                    if not handle(receiver, message, store):
                        stopping.wait(PAUSE_S)


def receive_session(client: ServiceBusClient, settings: Settings, store: Store, stopping: threading.Event) -> None:
    """Holds the next session until it has no messages for a while."""
    with ExitStack() as stack:
        renewer = stack.enter_context(AutoLockRenewer(max_lock_renewal_duration=RENEW_S))
        options = {"session_id": NEXT_AVAILABLE_SESSION, "max_wait_time": IDLE_S, "auto_lock_renewer": renewer}
        try:
            receiver = stack.enter_context(open_receiver(client, settings, **options))
        except OperationTimeoutError:
            return  # no session has messages just now
        while not stopping.is_set():
            # One at a time: of several, those behind one that goes back would overtake it.
            messages = receiver.receive_messages(max_message_count=1, max_wait_time=IDLE_S)
            if not messages:
                return
            if not handle(receiver, messages[0], store):
                stopping.wait(PAUSE_S)


def open_receiver(client: ServiceBusClient, settings: Settings, **options) -> ServiceBusReceiver:
    if settings.queue:
        return client.get_queue_receiver(settings.queue, **options)
    return client.get_subscription_receiver(settings.topic, settings.subscription, **options)


def work(settings: Settings, stopping: threading.Event) -> None:
    """One thread with a client and a store of its own: the SDK does not share them among threads."""
    store = Store(settings.store)
    while not stopping.is_set():
        try:
            with settings.open_client() as client:
                while not stopping.is_set():
                    (receive_session if settings.sessions else receive)(client, settings, store, stopping)
        except ServiceBusError as error:
            print(f"{error} (trying again)", file=sys.stderr, flush=True)
            stopping.wait(PAUSE_S)
    store.close()


def main() -> None:
    settings = read_settings()
    stopping = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopping.set())
    say(f"reading {settings.source}{' by session' if settings.sessions else ''}; Ctrl-C ends")
    threads = [
        threading.Thread(target=work, args=(settings, stopping)) for _ in range(SESSIONS if settings.sessions else 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # in small pieces, so that signals are seen
    say("stopped")


if __name__ == "__main__":
    main()
