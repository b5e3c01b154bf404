"""What this system understands of a message."""

import hashlib
import json
from dataclasses import dataclass

from azure.servicebus import ServiceBusReceivedMessage

# A new version of a body is a new type, so an old reader never misreads it.
TYPES = {
    "millrace.inference.completed.v1",
    "millrace.inference.dead-lettered.v1",
    "millrace.inference.row-completed.v1",
}


@dataclass(frozen=True)
class Prediction:
    message_id: str
    correlation_id: str | None
    tenant: str
    model: str
    state: str
    request_sequence: int  # restores the order of input where the order of arrival is not enough
    leaf_hash: str  # of the ledger's entry, of a body that is the whole outcome
    body: str  # the JSON of the body


@dataclass(frozen=True)
class Poison:
    """A message that no repetition makes readable: somebody has to look at it."""

    reason: str
    description: str


def read_prediction(message: ServiceBusReceivedMessage) -> Prediction | Poison:
    properties = {text(name): value for name, value in (message.application_properties or {}).items()}
    kind = text(properties.get("cloudEvents:type"))
    if kind not in TYPES:
        return Poison("unknown-type", f"cloudEvents:type is {kind}")
    try:
        body = b"".join(message.body)
        # Of binary outputs the JSON comes first, and this property has its length.
        header = body[: int(properties.get("inference-header-content-length", len(body)))].decode()
        json.loads(header)
        if not message.message_id:
            raise ValueError("no message id")
    except (TypeError, ValueError) as error:
        return Poison("unreadable", str(error))
    return Prediction(
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        tenant=text(properties.get("tenant")),
        model=text(properties.get("model")),
        state=text(properties.get("state")),
        request_sequence=int(properties.get("requestSequence", 0)),
        leaf_hash=hashlib.sha256(b"\0" + body).hexdigest(),
        body=header,
    )


def text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
