"""What services announce: exchanges as published, an outbox in the database, and delivery to subscribers."""

from tcbox.events.bus import Bus
from tcbox.events.event import Event, Handler
from tcbox.events.exchanges import Exchange, Exchanges, Key
from tcbox.events.outbox import Message, Outbox
from tcbox.events.topics import Binding

__all__ = ["Binding", "Bus", "Event", "Exchange", "Exchanges", "Handler", "Key", "Message", "Outbox"]
