"""What the tests stand on: a running stack, and clients of its parts.

Nothing here knows the engine's code.  It speaks HTTP to the web server, SQS
to the queue, SQL to the database and signals to the processes, as any
operator could; what it expects is written in docs/protocol.md and
docs/messages.md.
"""
