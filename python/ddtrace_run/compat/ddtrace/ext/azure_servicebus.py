"""Words for tags: Azure Service Bus."""

CLOUD = "azure"
CREATE = "create"
RECEIVE = "receive"
SEND = "send"
SERVICE = "servicebus"
