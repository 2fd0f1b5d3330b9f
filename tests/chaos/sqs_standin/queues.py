"""Standard queues, in memory: visibility, receive counts, dead letters.

Knows nothing of HTTP, signatures or faults; what a fault changes is a
parameter here.  Whatever happens is noted in the journal, from which a new
server gets its queues back: messages that were in flight are visible then.
"""

import collections
import hashlib
import heapq
import itertools
import json
import time
import uuid

ATTRIBUTES = {
    "VisibilityTimeout": "30",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
}
SETTABLE = {*ATTRIBUTES, "RedrivePolicy", "RedriveAllowPolicy", "Policy",
            "SqsManagedSseEnabled"}


class Message:
    def __init__(self, body, sent_at=None, message_id=None):
        self.id = message_id or str(uuid.uuid4())
        self.body = body
        self.md5 = hashlib.md5(body.encode()).hexdigest()
        self.sent_at = sent_at or time.time()
        self.first_received_at = None
        self.receive_count = 0
        self.handle = None      # the latest one, which alone counts
        self.visible_at = 0
        self.was_repeated = False


class Queue:
    def __init__(self, name, arn, attributes, journal):
        self.name, self.arn, self.journal = name, arn, journal
        self.attributes = {**ATTRIBUTES, **attributes}
        self.created_at = time.time()
        self.messages = {}                # id -> Message
        self._visible = collections.deque()
        self._hidden = []                 # heap of (visible_at, n, message)
        self._numbers = itertools.count()
        self._waiting = set()             # futures of long polls

    # --- Where a message is ---

    def _is_here(self, message):
        return self.messages.get(message.id) is message

    def _hide(self, message, seconds):
        message.visible_at = time.time() + seconds
        heapq.heappush(self._hidden,
                       (message.visible_at, next(self._numbers), message))
        self.wake()

    def _reveal(self):
        """Those whose time has come; stale entries of the heap go."""
        now = time.time()
        while self._hidden and self._hidden[0][0] <= now:
            at, _, message = heapq.heappop(self._hidden)
            if self._is_here(message) and message.visible_at == at:
                message.visible_at = 0
                self._visible.append(message)

    def add(self, message, delay=0):
        self.messages[message.id] = message
        if delay > 0:
            self._hide(message, delay)
        else:
            message.visible_at = 0
            self._visible.append(message)
            self.wake()

    def wake(self):
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def wait_on(self, future):
        """A future that ends when something may have become visible."""
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)

    def next_change(self):
        """Seconds until a hidden message is visible again, or None."""
        return max(0, self._hidden[0][0] - time.time()) if self._hidden \
            else None

    # --- Sending and receiving ---

    def send(self, body, delay=0, acknowledged=True):
        message = Message(body)
        self.journal.note("sent", self.name, id=message.id, body=body,
                          acknowledged=acknowledged, delay=delay)
        self.add(message, delay)
        return message

    def _take_one(self, index):
        """The visible message at index(how many there are)."""
        self._visible.rotate(-index(len(self._visible)))
        message = self._visible.popleft()
        return message if self._is_here(message) else None

    def receive(self, visibility, dead_letters, index=lambda n: 0,
                repeat=lambda message: None):
        """A message, or None.  Who has been received too often moves to the
        dead-letter queue instead.  repeat(message): seconds after which it is
        delivered once more although its lease runs, or None."""
        self._reveal()
        while self._visible:
            message = self._take_one(index)
            if message is None:
                continue
            if dead_letters and message.receive_count >= dead_letters[1]:
                self._move(message, dead_letters[0])
                continue
            message.receive_count += 1
            message.first_received_at = message.first_received_at \
                or time.time()
            message.handle = f"{message.id}.{time.time_ns()}"
            self.journal.note("received", self.name, id=message.id,
                              count=message.receive_count)
            again = None if message.was_repeated else repeat(message)
            message.was_repeated |= again is not None
            self._hide(message, visibility if again is None else again)
            return message
        return None

    def _move(self, message, to):
        del self.messages[message.id]
        self.journal.note("moved", self.name, id=message.id, to=to.name)
        to.add(message)

    # --- By receipt handle ---

    def find(self, handle):
        """(is it one of ours, the message if the handle is its latest)."""
        message_id, dot, number = handle.partition(".")
        message = self.messages.get(message_id)
        good = bool(dot) and number.isdigit() and len(message_id) == 36
        return good, message if message and message.handle == handle else None

    def delete(self, message, unless=None):
        """unless: seconds after which it is back, as SQS says may happen."""
        if unless is not None and not message.was_repeated:
            message.was_repeated = True
            self._hide(message, unless)
            return
        del self.messages[message.id]
        self.journal.note("deleted", self.name, id=message.id)

    def is_in_flight(self, message):
        self._reveal()
        return message.visible_at > 0 and message.receive_count > 0

    def set_visibility(self, message, seconds):
        self._hide(message, seconds)
        self._reveal()

    def release(self):
        """Every lease and every delay is over, which SQS may do any time."""
        for message in self.messages.values():
            if message.visible_at > 0:
                self._hide(message, 0)

    def purge(self):
        self.messages.clear()
        self._visible.clear()
        self._hidden.clear()
        self.journal.note("purged", self.name)

    # --- About it ---

    def describe(self):
        self._reveal()
        hidden = [m for m in self.messages.values() if m.visible_at > 0]
        delayed = sum(m.receive_count == 0 for m in hidden)
        return {
            **self.attributes,
            "QueueArn": self.arn,
            "CreatedTimestamp": str(int(self.created_at)),
            "LastModifiedTimestamp": str(int(self.created_at)),
            "ApproximateNumberOfMessages":
                str(len(self.messages) - len(hidden)),
            "ApproximateNumberOfMessagesNotVisible":
                str(len(hidden) - delayed),
            "ApproximateNumberOfMessagesDelayed": str(delayed),
        }


class Queues:
    """All of them, by name."""

    def __init__(self, region, journal):
        self._region, self._journal = region, journal
        self._by_name = {}
        for line in journal.read():
            self._replay(line)

    def __iter__(self):
        return iter(self._by_name.values())

    def get(self, name):
        return self._by_name.get(name)

    def create(self, name, attributes):
        queue = self._make(name, attributes)
        self.note_attributes(queue)
        return queue

    def note_attributes(self, queue):
        self._journal.note("queue", queue.name, attributes=queue.attributes)

    def drop(self, queue):
        del self._by_name[queue.name]
        queue.purge()
        self._journal.note("dropped", queue.name)

    def _make(self, name, attributes):
        arn = f"arn:aws:sqs:{self._region}:000000000000:{name}"
        queue = Queue(name, arn, attributes, self._journal)
        self._by_name[name] = queue
        return queue

    def dead_letters_of(self, queue):
        """(queue, maxReceiveCount), or None."""
        policy = json.loads(queue.attributes.get("RedrivePolicy") or "{}")
        arn = policy.get("deadLetterTargetArn", "")
        target = self.get(arn.rpartition(":")[2])
        return target and (target, int(policy["maxReceiveCount"]))

    # --- After a restart ---

    def _replay(self, line):
        event, queue = line["event"], self.get(line["queue"])
        if event == "queue":
            if queue is None:
                queue = self._make(line["queue"], {})
            queue.attributes.update(line["attributes"])
        elif event == "dropped":
            del self._by_name[line["queue"]]
        elif event == "purged":
            queue.messages.clear()
        elif event == "sent":
            queue.add(Message(line["body"], line["at"], line["id"]))
        elif event == "received":
            queue.messages[line["id"]].receive_count = line["count"]
        elif event == "deleted":
            del queue.messages[line["id"]]
        elif event == "moved":
            self.get(line["to"]).add(queue.messages.pop(line["id"]))
