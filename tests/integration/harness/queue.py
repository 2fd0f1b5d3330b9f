"""A queue, over SQS' JSON protocol."""

import json
import urllib.request


class Queue:
    """Unsigned: the local servers look only at the region in the header."""

    def __init__(self, endpoint, url, region):
        self._endpoint, self._url = endpoint, url
        self._scope = f"test/20260101/{region}/sqs/aws4_request"

    def call(self, action, **parameters):
        request = urllib.request.Request(
            self._endpoint.rstrip("/") + "/",
            json.dumps({"QueueUrl": self._url, **parameters}).encode(),
            {"Content-Type": "application/x-amz-json-1.0",
             "X-Amz-Target": f"AmazonSQS.{action}",
             "X-Amz-Date": "20260101T000000Z",
             "Authorization": f"AWS4-HMAC-SHA256 Credential={self._scope}, "
                              "SignedHeaders=host, Signature=0"})
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

    def depth(self):
        """Messages in it: waiting, being worked on and delayed."""
        names = ["ApproximateNumberOfMessages" + suffix
                 for suffix in ("", "NotVisible", "Delayed")]
        attributes = self.call("GetQueueAttributes",
                               AttributeNames=names)["Attributes"]
        return sum(int(attributes.get(name, 0)) for name in names)
