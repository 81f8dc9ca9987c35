"""Words for tags: Azure Event Hubs."""

CLOUD = "azure"
CREATE = "create"
RECEIVE = "receive"
SEND = "send"
SERVICE = "eventhubs"
