"""What can go wrong on purpose, and when.

A fault is a JSON object; what it leaves out has a default:

    {"fault": "slow",       one of KINDS below
     "actions": ["SendMessageBatch"],    (all that it can happen to)
     "queue": "flashsale-orders",        (all)
     "probability": 0.2,    of each call, or of each entry or message (1)
     "times": 3,            then it is over (never)
     "ms": 500}             its own parameters, see KINDS

Chances are drawn from one seeded generator, so the same calls in the same
order fail in the same way.
"""

import random

SEND = ("SendMessage", "SendMessageBatch")
RECEIVE = ("ReceiveMessage",)
DELETE = ("DeleteMessage", "DeleteMessageBatch")
VISIBILITY = ("ChangeMessageVisibility", "ChangeMessageVisibilityBatch")
BATCHES = tuple(name for name in SEND + DELETE + VISIBILITY
                if name.endswith("Batch"))

# kind: (actions that it can happen to, () for all; parameters; meaning)
KINDS = {
    # --- of a call ---
    "down": ((), {}, "the connection is broken, nothing is done"),
    "broken_answer": ((), {}, "all is done, then the connection is broken"),
    "hang": ((), {"ms": 60000, "taken": False},
             "no answer for so long, then the connection is broken; taken: "
             "all is done"),
    "slow": ((), {"ms": 200, "jitter_ms": 0},
             "done after so long, and answered"),
    "throttled": ((), {"code": "ThrottlingException"},
                  "refused: too many requests (or RequestThrottled, a 403)"),
    "error": ((), {"status": 503}, "a proxy's page instead of an answer"),
    "denied": ((), {"code": "AccessDeniedException"}, "refused with 403"),
    "expired_token": ((), {}, "refused: the token has expired"),
    "skew": ((), {"seconds": 1200},
             "our clock is ahead: signatures are too old, by our Date"),
    # --- of an entry of a batch ---
    "entries_failed": (BATCHES, {"code": "InternalError",
                                 "sender_fault": False},
                       "in the list Failed"),
    "entries_forgotten": (BATCHES, {"taken": True},
                          "in neither list; taken: but done"),
    # --- of a message ---
    "wrong_md5": (SEND + RECEIVE, {}, "the answer's MD5 is of something else"),
    "duplicate": (RECEIVE, {"ms": 0},
                  "delivered once more after so long, whatever its lease"),
    "reorder": (RECEIVE, {}, "any message instead of the oldest"),
    "delay": (SEND, {"ms": 1000, "jitter_ms": 0}, "visible after so long"),
    "undelete": (DELETE, {"ms": 1000},
                 "said to be deleted, but delivered once more after so long"),
}
COMMON = {"fault", "actions", "queue", "probability", "times"}


class Fault:
    def __init__(self, definition):
        self.definition = definition
        self.kind = definition.get("fault")
        if self.kind not in KINDS:
            raise ValueError(f"fault {self.kind!r}: one of {sorted(KINDS)}")
        possible, parameters, _ = KINDS[self.kind]
        unknown = set(definition) - COMMON - set(parameters)
        if unknown:
            raise ValueError(f"{self.kind} has no {sorted(unknown)}")
        self.actions = tuple(definition.get("actions", possible))
        if possible and not set(self.actions) <= set(possible):
            raise ValueError(f"{self.kind} can only happen to {possible}")
        self.queue = definition.get("queue")
        self.probability = definition.get("probability", 1)
        self.times = definition.get("times")
        self.happened = 0
        self._parameters = {**parameters, **definition}

    def __getitem__(self, parameter):
        return self._parameters[parameter]

    def concerns(self, action, queue):
        return (not self.actions or action in self.actions) \
            and self.queue in (None, queue) \
            and (self.times is None or self.happened < self.times)

    def describe(self):
        return {**self.definition, "happened": self.happened}


class Faults:
    def __init__(self):
        self.random = random.Random(0)
        self._list = []

    def set(self, definitions):
        """Instead of those before.  ValueError says what is wrong."""
        self._list = [Fault(definition) for definition in definitions]

    def describe(self):
        return [fault.describe() for fault in self._list]

    def draw(self, kind, action, queue):
        """The fault, if it is to happen now, else None."""
        for fault in self._list:
            if fault.kind == kind and fault.concerns(action, queue) \
                    and self.random.random() < fault.probability:
                fault.happened += 1
                return fault
        return None

    def seconds(self, fault):
        """Of a fault that takes time, with its jitter."""
        jitter = fault.definition.get("jitter_ms", 0)
        return (fault["ms"] + self.random.uniform(0, jitter)) / 1000
