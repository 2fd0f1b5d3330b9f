"""Every message that was ever taken, and what became of it: a line of JSON
each, in a file that outlives the server.

    {"at": 1795353362.988, "event": "sent", "queue": "flashsale-orders",
     "id": "...", "body": "...", "acknowledged": true, "delay": 0}
    {... "event": "received", "queue": ..., "id": ..., "count": 1}
    {... "event": "deleted",  "queue": ..., "id": ...}
    {... "event": "moved",    "queue": ..., "id": ..., "to": dead-letter queue}
    {... "event": "queue",    "queue": ..., "attributes": {...}}
    {... "event": "purged" or "dropped" (the queue itself), "queue": ...}

"acknowledged" is false where a fault kept the sender from learning that the
message was taken.  A line is written before its request is answered; it is
not forced to the disk, for it is the server that gets killed, not the
machine.
"""

import json
import os
import pathlib
import time


class Journal:
    def __init__(self, path):
        self._path = path
        self._lines = []
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT,
                             0o600)
        self._drop_half_a_line()

    def _drop_half_a_line(self):
        """One that a server before us died in the middle of."""
        whole = pathlib.Path(self._path).read_bytes()
        os.ftruncate(self._file, whole.rfind(b"\n") + 1)

    def read(self):
        """What a server before us has written."""
        with open(self._path, encoding="utf-8") as file:
            yield from map(json.loads, file)

    def note(self, event, queue, **facts):
        self._lines.append(json.dumps(
            {"at": round(time.time(), 3), "event": event, "queue": queue,
             **facts}) + "\n")

    def write(self):
        """All that was noted, in one go."""
        if self._lines:
            os.write(self._file, "".join(self._lines).encode())
            self._lines.clear()
