"""Where to read from: the run file of a local Millrace (--run FILE), or the environment."""

import argparse
import json
import os
from dataclasses import dataclass

from azure.servicebus import ServiceBusClient

RETRIES = {"retry_total": 2, "retry_backoff_factor": 0.5}


@dataclass(frozen=True)
class Settings:
    namespace: str | None
    connection_string: str | None
    topic: str
    subscription: str
    queue: str | None
    sessions: bool
    store: str

    @property
    def source(self) -> str:
        return self.queue or f"{self.topic}/{self.subscription}"

    def open_client(self) -> ServiceBusClient:
        """In Azure: the managed identity of where it runs, or a developer's sign-in (Azure Service Bus Data Receiver)."""
        if self.connection_string:
            return ServiceBusClient.from_connection_string(self.connection_string, **RETRIES)
        from azure.identity import DefaultAzureCredential

        return ServiceBusClient(self.namespace, DefaultAzureCredential(), **RETRIES)


def read_settings() -> Settings:
    parser = argparse.ArgumentParser(description="Reads Millrace's messages from Service Bus.")
    parser.add_argument("--run", metavar="FILE", help="run.json of a local Millrace")
    arguments = parser.parse_args()
    run = {}
    if arguments.run:
        with open(arguments.run, encoding="utf-8") as file:
            run = json.load(file)["serviceBus"]
    env = os.environ
    connection_string = run.get("connectionString") or env.get("SERVICEBUS_CONNECTION_STRING")
    namespace = None if run else env.get("SERVICEBUS_NAMESPACE")
    if not namespace and not connection_string:
        parser.error("give --run .millrace/run.json, or set SERVICEBUS_NAMESPACE or SERVICEBUS_CONNECTION_STRING")
    return Settings(
        namespace=namespace,
        connection_string=None if namespace else connection_string,
        topic=env.get("TOPIC") or run.get("topic", "predictions"),
        subscription=env.get("SUBSCRIPTION") or run.get("subscription", "enterprise"),
        queue=env.get("QUEUE"),
        sessions=env.get("SESSIONS") == "true",
        store=env.get("STORE", "handled.sqlite"),
    )
