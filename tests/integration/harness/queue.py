"""A queue: over SQS' JSON protocol, or the outboxes in Redis."""

import importlib.util
import json
import pathlib
import time
import urllib.parse
import urllib.request


def load_signature():
    """The stand-in's module, whose folder is no package."""
    path = pathlib.Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location(
        "signature", path / "chaos/sqs_standin/signature.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


signature = load_signature()


class Queue:
    def __init__(self, env, url):
        self._endpoint, self.url = env["SQS_ENDPOINT"].rstrip("/") + "/", url
        self._key_id = env["AWS_ACCESS_KEY_ID"]
        self._secret = env["AWS_SECRET_ACCESS_KEY"]
        self._region = env["AWS_REGION"]

    def sign(self, action, body):
        """Headers, for a server that looks at the signature."""
        when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {"content-type": "application/x-amz-json-1.0",
                   "host": urllib.parse.urlsplit(self._endpoint).netloc,
                   "x-amz-date": when,
                   "x-amz-target": f"AmazonSQS.{action}"}
        request = signature.canonical_request(
            "POST", "/", headers.items(), sorted(headers), body)
        scope = f"{self._key_id}/{when[:8]}/{self._region}/sqs/aws4_request"
        proof = signature.sign(
            request, self._secret, when, self._region, "sqs")
        return {**headers, "Authorization":
                f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders="
                f"{';'.join(sorted(headers))}, Signature={proof}"}

    def call(self, action, **parameters):
        body = json.dumps({"QueueUrl": self.url, **parameters}).encode()
        request = urllib.request.Request(
            self._endpoint, body, self.sign(action, body))
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"{}")

    def send(self, body):
        return self.call("SendMessage", MessageBody=body)["MessageId"]

    def receive(self, wait=0, visibility=30):
        """Up to ten messages."""
        return self.call("ReceiveMessage", MaxNumberOfMessages=10,
                         WaitTimeSeconds=wait,
                         VisibilityTimeout=visibility).get("Messages", [])

    def hand_back(self, message):
        self.call("ChangeMessageVisibility", VisibilityTimeout=0,
                  ReceiptHandle=message["ReceiptHandle"])

    def delete(self, message):
        self.call("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])

    def depth(self):
        """Messages in it: waiting, being worked on and delayed."""
        names = ["ApproximateNumberOfMessages" + suffix
                 for suffix in ("", "NotVisible", "Delayed")]
        attributes = self.call("GetQueueAttributes",
                               AttributeNames=names)["Attributes"]
        return sum(int(attributes.get(name, 0)) for name in names)


class Outboxes:
    """The streams of all SKUs together; with QUEUE=redis, the queue."""

    def __init__(self, redis):
        self._redis = redis

    def depth(self):
        return sum(self._redis.xlen(f"fs:{{{sku}}}:outbox")
                   for sku in self._redis.smembers("fs:sales"))


class Nothing:
    """There are no dead letters without SQS."""

    def depth(self):
        return 0
