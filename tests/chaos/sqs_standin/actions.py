"""The actions of SQS' JSON protocol: parameters in, answer out.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/

What is in neither our programs nor their tests is refused, not imitated:
FIFO queues, message attributes, moving tasks.
"""

import asyncio
import json
import re
import time

from queues import SETTABLE

BATCH_MAX = 10
SIZE_MAX = 1024 * 1024
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
# What XML 1.0 has no way to write.
FORBIDDEN = re.compile(
    "[^\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Their names in the older protocol, where they differ.
OLD_NAMES = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "TooManyEntriesInBatchRequest":
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "BatchEntryIdsNotDistinct":
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}


class Error(Exception):
    def __init__(self, code, why, status=400):
        super().__init__(why)
        self.code, self.status = code, status
        self.old_name = OLD_NAMES.get(code, code)


class Call:
    """One request on its way: what it asks, and which faults it meets."""

    def __init__(self, standin, action, parameters, is_gone=lambda: False):
        self.queues, self.faults = standin.queues, standin.faults
        self.base_url = standin.base_url
        self.action, self.parameters = action, parameters
        self.queue_name = str(parameters.get("QueueUrl", "")) \
            .rpartition("/")[2] or None
        self.acknowledged = True    # false: the answer will not arrive
        self.is_gone = is_gone      # has the client left?

    def draw(self, kind):
        return self.faults.draw(kind, self.action, self.queue_name)

    def run(self):
        """A dictionary, or an awaitable of one."""
        handler = HANDLERS.get(self.action)
        if handler is None:
            raise Error("UnsupportedOperation", f"no action {self.action}")
        if self.action not in WITHOUT_QUEUE:
            self.queue = self.find_queue(self.queue_name)
        return handler(self)

    # --- Parameters ---

    def find_queue(self, name):
        queue = self.queues.get(name)
        if queue is None:
            raise Error("QueueDoesNotExist",
                        "The specified queue does not exist.")
        return queue

    def text(self, name, of=None):
        value = (self.parameters if of is None else of).get(name)
        if not isinstance(value, str):
            raise Error("MissingParameter", f"The request must contain the "
                        f"parameter {name}.")
        return value

    def number(self, name, default, low, high, of=None):
        value = (self.parameters if of is None else of).get(name, default)
        if type(value) is not int or not low <= value <= high:
            raise Error("InvalidParameterValue", f"{name} must be {low} to "
                        f"{high}, not {value!r}.")
        return value


# --- Batches ---

def check_entries(call):
    entries = call.parameters.get("Entries")
    if not entries:
        raise Error("EmptyBatchRequest", "There should be at least one "
                    "entry in the request.")
    if len(entries) > BATCH_MAX:
        raise Error("TooManyEntriesInBatchRequest",
                    f"Maximum number of entries per request are {BATCH_MAX}.")
    ids = [call.text("Id", entry) for entry in entries]
    if len(set(ids)) < len(ids):
        raise Error("BatchEntryIdsNotDistinct", "An Id repeated.")
    for entry_id in ids:
        if NAME.fullmatch(entry_id) is None:
            raise Error("InvalidBatchEntryId", "A batch entry id can only "
                        "contain alphanumeric characters, hyphens and "
                        "underscores, at most 80.")
    return entries


def batch(call, do):
    """do(entry) for each, which returns its part of the answer."""
    successful, failed = [], []
    for entry in check_entries(call):
        refusal = call.draw("entries_failed")
        forgotten = call.draw("entries_forgotten")
        if refusal is not None:
            failed.append({"Id": entry["Id"], "Code": refusal["code"],
                           "SenderFault": refusal["sender_fault"],
                           "Message": "injected"})
            continue
        if forgotten is not None and not forgotten["taken"]:
            continue
        try:
            done = do(entry, forgotten is None)
        except Error as error:
            failed.append({"Id": entry["Id"], "Code": error.code,
                           "SenderFault": True, "Message": str(error)})
            continue
        if forgotten is None:
            successful.append({"Id": entry["Id"], **done})
    return {name: some for name, some in
            (("Successful", successful), ("Failed", failed)) if some}


# --- Sending ---

def check_body(call, entry):
    body = call.text("MessageBody", entry)
    for name in ("MessageAttributes", "MessageSystemAttributes",
                 "MessageGroupId", "MessageDeduplicationId"):
        if entry.get(name):
            raise Error("UnsupportedOperation", f"no {name} here")
    if body == "":
        raise Error("MissingParameter", "MessageBody is empty.")
    if FORBIDDEN.search(body):
        raise Error("InvalidMessageContents", "Invalid characters found.")
    return body


def send_one(call, entry, acknowledged=True):
    body = check_body(call, entry)
    delay = call.number("DelaySeconds",
                        int(call.queue.attributes["DelaySeconds"]), 0, 900,
                        entry)
    late, lie = call.draw("delay"), call.draw("wrong_md5")
    if late is not None:
        delay += call.faults.seconds(late)
    message = call.queue.send(
        body, delay, call.acknowledged and acknowledged and lie is None)
    return {"MessageId": message.id,
            "MD5OfMessageBody": message.md5 if lie is None else "0" * 32}


def send_message(call):
    if len(call.text("MessageBody").encode("utf-8", "replace")) > SIZE_MAX:
        raise Error("InvalidParameterValue", "One or more parameters are "
                    f"invalid. Reason: Message must be shorter than "
                    f"{SIZE_MAX} bytes.")
    return send_one(call, call.parameters)


def send_message_batch(call):
    if sum(len(call.text("MessageBody", entry).encode("utf-8", "replace"))
           for entry in check_entries(call)) > SIZE_MAX:
        raise Error("BatchRequestTooLong", "Batch requests cannot be longer "
                    f"than {SIZE_MAX} bytes.")
    return batch(call, lambda entry, told: send_one(call, entry, told))


# --- Receiving ---

def describe(call, message):
    lie = call.draw("wrong_md5")
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "MD5OfBody": message.md5 if lie is None else "0" * 32,
        "Body": message.body,
        "Attributes": {
            "SenderId": "AIDASTANDIN",
            "SentTimestamp": str(int(message.sent_at * 1000)),
            "ApproximateReceiveCount": str(message.receive_count),
            "ApproximateFirstReceiveTimestamp":
                str(int(message.first_received_at * 1000)),
        },
    }


def take(call, most, visibility):
    """Up to so many messages, as dictionaries."""
    def index(n):
        return call.faults.random.randrange(n) if call.draw("reorder") else 0

    def repeat(_):
        fault = call.draw("duplicate")
        return fault and fault["ms"] / 1000

    dead_letters = call.queues.dead_letters_of(call.queue)
    taken = []
    while len(taken) < most:
        message = call.queue.receive(visibility, dead_letters, index, repeat)
        if message is None:
            break
        taken.append(describe(call, message))
    return taken


async def receive_message(call):
    queue = call.queue
    most = call.number("MaxNumberOfMessages", 1, 1, BATCH_MAX)
    wait = call.number("WaitTimeSeconds", int(
        queue.attributes["ReceiveMessageWaitTimeSeconds"]), 0, 20)
    visibility = call.number("VisibilityTimeout", int(
        queue.attributes["VisibilityTimeout"]), 0, 43200)
    ends = time.monotonic() + wait
    while not call.is_gone():
        taken = take(call, most, visibility)
        left = ends - time.monotonic()
        if taken or left <= 0:
            return {"Messages": taken} if taken else {}
        future = asyncio.get_running_loop().create_future()
        queue.wait_on(future)
        change = queue.next_change()
        # A look now and then: the client may have left.
        await asyncio.wait([future], timeout=min(
            0.5, left, *(() if change is None else (change,))))
        future.cancel()
    return {}


# --- Deleting, and changing the visibility ---

def find(call, entry):
    good, message = call.queue.find(call.text("ReceiptHandle", entry))
    if not good:
        raise Error("ReceiptHandleIsInvalid",
                    "The input receipt handle is invalid.")
    return message


def delete_one(call, entry, _=True):
    message = find(call, entry)
    if message is not None:  # an older handle deletes nothing, and succeeds
        back = call.draw("undelete")
        call.queue.delete(message, back and back["ms"] / 1000)
    return {}


def change_one(call, entry, _=True):
    seconds = call.number("VisibilityTimeout", None, 0, 43200, entry)
    message = find(call, entry)
    if message is None or not call.queue.is_in_flight(message):
        raise Error("MessageNotInflight", "The specified message isn't in "
                    "flight.")
    call.queue.set_visibility(message, seconds)
    return {}


def delete_message(call):
    return delete_one(call, call.parameters)


def delete_message_batch(call):
    return batch(call, lambda entry, told: delete_one(call, entry))


def change_visibility(call):
    return change_one(call, call.parameters)


def change_visibility_batch(call):
    return batch(call, lambda entry, told: change_one(call, entry))


# --- Queues ---

def read_attributes(call):
    attributes = call.parameters.get("Attributes") or {}
    for name, value in attributes.items():
        if name not in SETTABLE:
            raise Error("InvalidAttributeName", f"Unknown Attribute {name}.")
        if not isinstance(value, str):
            raise Error("InvalidAttributeValue",
                        f"{name} must be a JSON string.")
    policy = attributes.get("RedrivePolicy")
    if policy:
        try:
            arn = json.loads(policy)["deadLetterTargetArn"]
            int(json.loads(policy)["maxReceiveCount"])
        except (ValueError, KeyError, TypeError):
            raise Error("InvalidAttributeValue",
                        "RedrivePolicy makes no sense.") from None
        if call.queues.get(arn.rpartition(":")[2]) is None:
            raise Error("InvalidAttributeValue", f"no queue {arn}")
    return attributes


def url_of(call, queue):
    return {"QueueUrl": f"{call.base_url}/000000000000/{queue.name}"}


def create_queue(call):
    name, attributes = call.text("QueueName"), read_attributes(call)
    if NAME.fullmatch(name) is None:
        raise Error("InvalidParameterValue", "The name of a queue has 1 to "
                    "80 alphanumeric characters, hyphens or underscores.")
    queue = call.queues.get(name)
    if queue is None:
        queue = call.queues.create(name, attributes)
    elif any(queue.attributes.get(k) != v for k, v in attributes.items()):
        raise Error("QueueNameExists", "A queue already exists with the same "
                    "name and a different value for an attribute.")
    return url_of(call, queue)


def get_queue_url(call):
    return url_of(call, call.find_queue(call.text("QueueName")))


def list_queues(call):
    prefix = call.parameters.get("QueueNamePrefix", "")
    return {"QueueUrls": [url_of(call, queue)["QueueUrl"]
                          for queue in call.queues
                          if queue.name.startswith(prefix)]}


def get_queue_attributes(call):
    wanted = call.parameters.get("AttributeNames") or []
    found = call.queue.describe()
    return {"Attributes": {name: value for name, value in found.items()
                           if name in wanted or "All" in wanted}}


def set_queue_attributes(call):
    queue = call.queue
    queue.attributes.update(read_attributes(call))
    call.queues.note_attributes(queue)
    return {}


def purge_queue(call):
    call.queue.purge()
    return {}


def delete_queue(call):
    call.queues.drop(call.queue)
    return {}


WITHOUT_QUEUE = {"CreateQueue", "GetQueueUrl", "ListQueues"}
HANDLERS = {
    "CreateQueue": create_queue,
    "DeleteQueue": delete_queue,
    "GetQueueUrl": get_queue_url,
    "ListQueues": list_queues,
    "GetQueueAttributes": get_queue_attributes,
    "SetQueueAttributes": set_queue_attributes,
    "PurgeQueue": purge_queue,
    "SendMessage": send_message,
    "SendMessageBatch": send_message_batch,
    "ReceiveMessage": receive_message,
    "DeleteMessage": delete_message,
    "DeleteMessageBatch": delete_message_batch,
    "ChangeMessageVisibility": change_visibility,
    "ChangeMessageVisibilityBatch": change_visibility_batch,
}
