"""Events to and from an AMQP server, as Pulse messages: what this instance announces, and what others announce there.

The client library is imported when the first connection is made.
"""
