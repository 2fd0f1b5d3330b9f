"""The SQS stand-in itself: what it accepts must be right, and what it
refuses wrong, or the tests that lean on it prove nothing.

That it verifies signatures as Amazon does is shown by others' signatures:
known answers that botocore computed, and curl's own signer."""

import concurrent.futures
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest

from harness.queue import Queue, signature
from harness.stack import ROOT
from harness.standin import Standin
from harness.wait import eventually

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
QUEUES = {"queues": [
    {"name": "dead"},
    {"name": "q", "attributes": {"RedrivePolicy": json.dumps({
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead",
        "maxReceiveCount": 2})}}]}
BREAKS = (http.client.HTTPException, OSError)


class Server:
    def __init__(self, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        (directory / "queues.json").write_text(json.dumps(QUEUES))
        self._command = [
            "/usr/bin/python3", "-B", ROOT / "tests/chaos/sqs_standin",
            "--port", str(port), "--directory", directory,
            "--queues", directory / "queues.json",
            "--key", f"AKIDEXAMPLE:{SECRET}"]
        self.standin = Standin(self.url, directory)
        env = {"SQS_ENDPOINT": self.url, "AWS_REGION": "us-east-1",
               "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
               "AWS_SECRET_ACCESS_KEY": SECRET}
        self.queue, self.dead = (
            Queue(env, f"{self.url}/000000000000/{name}")
            for name in ("q", "dead"))

    def start(self):
        self._process = subprocess.Popen(self._command)
        eventually(self.standin.control, 20, "the stand-in listens")
        return self

    def stop(self, number=signal.SIGTERM):
        self._process.send_signal(number)
        self._process.wait(20)

    def post(self, headers, body, path="/"):
        """(status, answer or None, headers), whatever they are."""
        address = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        connection.putrequest("POST", path, skip_host=True)
        for name, value in {**headers, "content-length": len(body)}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        is_json = "json" in reply.getheader("content-type", "")
        return reply.status, json.loads(text) if is_json else None, \
            reply.headers

    def ask(self, action, **parameters):
        """(status, answer or None): signed, and in order."""
        body = json.dumps({"QueueUrl": self.queue.url, **parameters}).encode()
        return self.post(self.queue.sign(action, body), body)[:2]

    def send(self, *bodies):
        return self.ask("SendMessageBatch", Entries=[
            {"Id": str(n), "MessageBody": body}
            for n, body in enumerate(bodies)])

    def counts(self, name="q"):
        described = self.standin.control()["queues"][name]
        return [int(described["ApproximateNumberOfMessages" + suffix])
                for suffix in ("", "NotVisible", "Delayed")]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("sqs")).start()
    yield server
    server.stop()


@pytest.fixture
def sqs(running):
    """With empty queues and no faults."""
    running.standin.control(faults=[], seed=0)
    running.queue.call("PurgeQueue")
    running.dead.call("PurgeQueue")
    return running


def bodies(messages):
    return [message["Body"] for message in messages]


# --- Signatures ---

BODY = (b'{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/123456789012/q",'
        b'"MessageBody":"hello"}')
HEADERS = {"content-type": "application/x-amz-json-1.0",
           "host": "sqs.us-east-1.amazonaws.com",
           "x-amz-date": "20260101T000000Z",
           "x-amz-target": "AmazonSQS.SendMessage"}


@pytest.mark.parametrize("more, known", [
    ({}, "7f47371a3bf40c6666f453254ff598812a20ebf66de6aef01caf836bc946e9d6"),
    ({"x-amz-security-token": "FwoGZXIvYXdzE/+=="},
     "e6eebfbfad9d8196561e01625c6948ec379ccb72e1dbdea7bd240a82b25fa3ba"),
])
def test_what_botocore_computed(more, known):
    headers = {**HEADERS, **more}
    request = signature.canonical_request(
        "POST", "/", headers.items(), sorted(headers), BODY)
    assert signature.sign(request, SECRET, "20260101T000000Z", "us-east-1",
                          "sqs") == known
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/sqs/"
        f"aws4_request, SignedHeaders={';'.join(sorted(headers))}, "
        f"Signature={known}")
    signature.check(
        "POST", "/", [*headers.items(), ("Authorization", authorization)],
        BODY, {"AKIDEXAMPLE": {"secret": SECRET,
                               "token": more.get("x-amz-security-token")}},
        "us-east-1", 1767225600 + 600)


def test_the_key_in_the_documentation():
    assert signature.signing_key(SECRET, "20120215", "us-east-1", "iam").hex() \
        == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def curl(sqs, action, document, *arguments, secret=SECRET):
    done = subprocess.run(
        ["curl", "--silent", "--aws-sigv4", "aws:amz:us-east-1:sqs", "--user",
         f"AKIDEXAMPLE:{secret}", "--header", f"X-Amz-Target: AmazonSQS."
         f"{action}", "--header", "Content-Type: application/x-amz-json-1.0",
         "--data-binary", json.dumps(document), *arguments, sqs.url],
        capture_output=True, check=True, timeout=30)
    return json.loads(done.stdout)


def test_curl_is_understood(sqs):
    answer = curl(sqs, "SendMessage", {
        "QueueUrl": sqs.queue.url, "MessageBody": "Größe 42, \U0001f600"})
    assert answer["MD5OfMessageBody"] == hashlib.md5(
        "Größe 42, \U0001f600".encode()).hexdigest()
    assert bodies(sqs.queue.receive()) == ["Größe 42, \U0001f600"]


def test_curl_with_another_secret(sqs):
    answer = curl(sqs, "GetQueueUrl", {"QueueName": "q"}, secret="wrong")
    assert answer["__type"] == "com.amazonaws.sqs#InvalidSignatureException"


def test_curl_with_a_session_token(sqs):
    sqs.standin.control(keys={"AKIDEXAMPLE": {"secret": SECRET,
                                              "token": "FwoGZ/+=="}})
    ask = ("GetQueueUrl", {"QueueName": "q"}, "--header")
    try:
        assert "QueueUrl" in curl(sqs, *ask, "X-Amz-Security-Token: FwoGZ/+==")
        assert "QueueUrl" not in curl(sqs, *ask, "X-Amz-Security-Token: other")
        assert "QueueUrl" not in curl(sqs, *ask, "X-Other: none at all")
    finally:
        sqs.standin.control(keys={"AKIDEXAMPLE": {"secret": SECRET}})


def replaced(name, old, new):
    def change(headers, body):
        assert old in headers[name]
        return {**headers, name: headers[name].replace(old, new)}, body
    return change


def moved_clock(headers, body):
    """A right signature, of twenty minutes ago."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 1200))
    signed = {name: value for name, value in headers.items()
              if name != "Authorization"} | {"x-amz-date": when}
    request = signature.canonical_request(
        "POST", "/", signed.items(), sorted(signed), body)
    proof = signature.sign(request, SECRET, when, "us-east-1", "sqs")
    return {**signed, "Authorization":
            f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{when[:8]}/us-east-1/"
            f"sqs/aws4_request, SignedHeaders={';'.join(sorted(signed))}, "
            f"Signature={proof}"}, body


@pytest.mark.parametrize("change, status, code", [
    (lambda h, b: (h, b.replace(b"hello", b"jello")), 403,
     "InvalidSignatureException"),
    (replaced("x-amz-target", "SendMessage", "PurgeQueue"), 403,
     "InvalidSignatureException"),
    (replaced("host", "127", "128"), 403, "InvalidSignatureException"),
    (replaced("content-type", "1.0", "1.1"), 403,
     "InvalidSignatureException"),
    (replaced("Authorization", "us-east-1", "us-east-2"), 403,
     "InvalidSignatureException"),
    (replaced("Authorization", "/sqs/", "/sns/"), 403,
     "InvalidSignatureException"),
    (replaced("Authorization", "AKIDEXAMPLE", "AKIDNOBODY"), 403,
     "UnrecognizedClientException"),
    (replaced("Authorization", "Signature=", "Signature=0"), 403,
     "InvalidSignatureException"),
    (replaced("Authorization", ";x-amz-target", ""), 403,
     "InvalidSignatureException"),
    (replaced("Authorization", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), 400,
     "IncompleteSignatureException"),
    (lambda h, b: ({**h, "x-amz-security-token": "t"}, b), 403,
     "UnrecognizedClientException"),
    (lambda h, b: ({**h, "x-amz-meta": "unsigned"}, b), 403,
     "InvalidSignatureException"),
    (lambda h, b: ({k: v for k, v in h.items() if k != "Authorization"}, b),
     403, "MissingAuthenticationTokenException"),
    (moved_clock, 403, "InvalidSignatureException"),
], ids=["body", "target", "host", "content-type", "region", "service", "key",
        "signature", "unsigned-target", "algorithm", "token",
        "unsigned-header", "none", "old"])
def test_what_was_tampered_with(sqs, change, status, code):
    before = sum(sqs.standin.control()["refused"].values())
    body = json.dumps({"QueueUrl": sqs.queue.url,
                       "MessageBody": "hello"}).encode()
    headers = sqs.queue.sign("SendMessage", body)
    answer = sqs.post(*change(headers, body))
    assert answer[:2] == (status, {"__type": f"com.amazonaws.sqs#{code}",
                                   "message": answer[1]["message"]})
    assert sum(sqs.standin.control()["refused"].values()) == before + 1
    assert sqs.counts() == [0, 0, 0]
    assert sqs.post(headers, body)[0] == 200  # unchanged, it passes


# --- Messages ---

def test_a_message_s_life(sqs):
    sqs.send("one", "two")
    first = sqs.queue.receive(visibility=30)
    assert bodies(first) == ["one", "two"]
    assert first[0]["MD5OfBody"] == hashlib.md5(b"one").hexdigest()
    assert first[0]["Attributes"]["ApproximateReceiveCount"] == "1"
    assert sqs.queue.receive() == []
    assert sqs.counts() == [0, 2, 0]
    sqs.queue.hand_back(first[0])
    again, = sqs.queue.receive()
    assert again["Body"] == "one"
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    # Only the latest handle deletes, though none is refused.
    for handle, left in ((first[0], 2), (again, 1), (first[1], 0)):
        sqs.queue.call("DeleteMessage",
                       ReceiptHandle=handle["ReceiptHandle"])
        assert sqs.queue.depth() == left


def test_a_lease_ends(sqs):
    sqs.send("one")
    assert bodies(sqs.queue.receive(visibility=1)) == ["one"]
    assert bodies(sqs.queue.receive(wait=20)) == ["one"]


def test_a_long_poll_ends_when_there_is_something(sqs):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(sqs.queue.receive, wait=20)
        assert not waiting.done()
        sqs.send("one")
        assert bodies(waiting.result(10)) == ["one"]


def test_received_too_often(sqs):
    sqs.send("poison", "good")
    for _ in range(2):
        message, good = sqs.queue.receive()
        sqs.queue.hand_back(message)
        sqs.queue.hand_back(good)
    assert sqs.queue.receive() == []
    assert bodies(sqs.dead.receive()) == ["poison", "good"]


def test_delayed(sqs):
    assert sqs.ask("SendMessage", MessageBody="late", DelaySeconds=8)[0] == 200
    assert sqs.counts() == [0, 0, 1]
    assert bodies(sqs.queue.receive(wait=20)) == ["late"]


@pytest.mark.parametrize("action, parameters, code", [
    ("SendMessageBatch", {"Entries": []}, "EmptyBatchRequest"),
    ("SendMessageBatch", {"Entries": [
        {"Id": str(n), "MessageBody": "b"} for n in range(11)]},
     "TooManyEntriesInBatchRequest"),
    ("SendMessageBatch", {"Entries": [{"Id": "0", "MessageBody": "b"}] * 2},
     "BatchEntryIdsNotDistinct"),
    ("SendMessageBatch", {"Entries": [{"Id": "a b", "MessageBody": "b"}]},
     "InvalidBatchEntryId"),
    ("SendMessageBatch", {"Entries": [
        {"Id": str(n), "MessageBody": "b" * 524289} for n in range(2)]},
     "BatchRequestTooLong"),
    ("SendMessage", {"MessageBody": "\x01"}, "InvalidMessageContents"),
    ("SendMessage", {"MessageBody": "\ud800"}, "InvalidMessageContents"),
    ("SendMessage", {"MessageBody": ""}, "MissingParameter"),
    ("SendMessage", {"MessageBody": "b", "DelaySeconds": 901},
     "InvalidParameterValue"),
    ("SendMessage", {"MessageBody": "b", "QueueUrl": "http://x/1/none"},
     "QueueDoesNotExist"),
    ("ReceiveMessage", {"MaxNumberOfMessages": 11}, "InvalidParameterValue"),
    ("ReceiveMessage", {"WaitTimeSeconds": 21}, "InvalidParameterValue"),
    ("DeleteMessage", {"ReceiptHandle": "no"}, "ReceiptHandleIsInvalid"),
    ("CreateQueue", {"QueueName": "a b"}, "InvalidParameterValue"),
    ("CreateQueue", {"QueueName": "q",
                     "Attributes": {"VisibilityTimeout": "7"}},
     "QueueNameExists"),
    ("SetQueueAttributes", {"Attributes": {"VisibilityTimeout": 7}},
     "InvalidAttributeValue"),
    ("StartMessageMoveTask", {}, "UnsupportedOperation"),
])
def test_what_sqs_refuses(sqs, action, parameters, code):
    status, answer = sqs.ask(action, **parameters)
    assert (status, answer["__type"]) == (400, f"com.amazonaws.sqs#{code}")
    assert sqs.counts() == [0, 0, 0]


def test_one_bad_entry(sqs):
    status, answer = sqs.send("good", "\x01", "better")
    assert status == 200
    assert [entry["Id"] for entry in answer["Successful"]] == ["0", "2"]
    failed, = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == (
        "1", "InvalidMessageContents", True)


def test_the_largest_message(sqs):
    assert sqs.ask("SendMessage", MessageBody="b" * 1048576)[0] == 200
    assert sqs.ask("SendMessage", MessageBody="b" * 1048577)[0] == 400


def test_killed_and_started_again(tmp_path):
    sqs = Server(tmp_path).start()
    sqs.send(*"abcdef")
    gone, moving, moving2, taken, *_ = sqs.queue.receive()
    sqs.queue.call("DeleteMessage", ReceiptHandle=gone["ReceiptHandle"])
    for message in (moving, moving2):
        sqs.queue.hand_back(message)
    for message in sqs.queue.receive():
        sqs.queue.hand_back(message)
    assert sqs.queue.receive() == []        # two have moved
    assert sqs.dead.depth() == 2
    sqs.stop(signal.SIGKILL)
    with open(tmp_path / "journal.jsonl", "a") as file:
        file.write('{"at": 1, "event": "se')  # died in the middle of it
    sqs.start()
    try:
        assert sorted(bodies(sqs.dead.receive())) == ["b", "c"]
        back = {m["Body"]: m["Attributes"]["ApproximateReceiveCount"]
                for m in sqs.queue.receive()}
        assert back == {"d": "2", "e": "2", "f": "2"}
        # A handle of the life before deletes nothing.
        sqs.queue.call("DeleteMessage", ReceiptHandle=taken["ReceiptHandle"])
        assert sqs.queue.depth() == 3
        sent = sqs.standin.journal("sent")
        assert [line["body"] for line in sent] == list("abcdef")
    finally:
        sqs.stop()
    assert os.path.getsize(tmp_path / "journal.jsonl") > 0


# --- Faults ---

def test_a_mistake_in_a_fault_is_named(sqs):
    for faults in ([{"fault": "typo"}], [{"fault": "slow", "msec": 3}],
                   [{"fault": "duplicate", "actions": ["SendMessage"]}]):
        body = json.dumps({"faults": faults}).encode()
        status, _, _ = sqs.post({"host": "x"}, body, "/_control")
        assert status == 400
    assert sqs.standin.control()["faults"] == []


def test_the_same_seed_is_the_same_luck(sqs):
    def luck(seed):
        with sqs.standin.faults({"fault": "throttled", "probability": 0.5},
                                seed=seed):
            return [sqs.send("one")[0] for _ in range(30)]
    first = luck(5)
    assert set(first) == {200, 400}
    assert luck(5) == first != luck(6)


def test_times_queue_and_action(sqs):
    with sqs.standin.faults({"fault": "error", "status": 500, "times": 2,
                             "queue": "q", "actions": ["SendMessage"]}) \
            as happened:
        sqs.dead.send("elsewhere")
        assert sqs.send("another action")[0] == 200
        seen = [sqs.ask("SendMessage", MessageBody="b")[0] for _ in range(4)]
        assert seen == [500, 500, 200, 200]
        assert happened() == [2]


@pytest.mark.parametrize("kind, status, code", [
    ({"fault": "throttled"}, 400, "ThrottlingException"),
    ({"fault": "throttled", "code": "RequestThrottled"}, 403,
     "RequestThrottled"),
    ({"fault": "denied"}, 403, "AccessDeniedException"),
    ({"fault": "expired_token"}, 403, "ExpiredTokenException"),
    ({"fault": "skew"}, 403, "InvalidSignatureException"),
])
def test_refusals(sqs, kind, status, code):
    with sqs.standin.faults(kind):
        seen, answer = sqs.send("one")
    assert (seen, answer["__type"]) == (status, f"com.amazonaws.sqs#{code}")
    assert sqs.counts() == [0, 0, 0]


def test_skew_shows_in_the_date(sqs):
    body = b"{}"
    with sqs.standin.faults({"fault": "skew", "seconds": 3600}):
        _, _, headers = sqs.post(sqs.queue.sign("ListQueues", body), body)
    date = time.strptime(headers["Date"], "%a, %d %b %Y %H:%M:%S GMT")
    ahead = time.mktime(date) - time.mktime(time.gmtime())
    assert 3500 < ahead < 3700


@pytest.mark.parametrize("kind, taken", [
    ({"fault": "down"}, 0),
    ({"fault": "broken_answer"}, 1),
    ({"fault": "hang", "ms": 100}, 0),
    ({"fault": "hang", "ms": 100, "taken": True}, 1),
])
def test_broken_connections(sqs, kind, taken):
    with sqs.standin.faults(kind):
        with pytest.raises(BREAKS):
            sqs.send("one")
    assert sqs.counts() == [taken, 0, 0]
    acknowledged = [line["acknowledged"] for line in
                    sqs.standin.journal("sent")[-taken:] if taken]
    assert acknowledged == [False] * taken


@pytest.mark.parametrize("kind, failed, taken", [
    ({"fault": "entries_failed"}, True, 0),
    ({"fault": "entries_forgotten"}, False, 1),
    ({"fault": "entries_forgotten", "taken": False}, False, 0),
])
def test_entries(sqs, kind, failed, taken):
    with sqs.standin.faults({**kind, "times": 1}):
        status, answer = sqs.send("one", "two")
    assert status == 200
    assert [entry["Id"] for entry in answer["Successful"]] == ["1"]
    assert ("Failed" in answer) == failed
    assert sqs.counts() == [1 + taken, 0, 0]


def test_wrong_md5(sqs):
    with sqs.standin.faults({"fault": "wrong_md5"}):
        sent = sqs.send("one")[1]["Successful"][0]
        received, = sqs.queue.receive()
    for seen in (sent["MD5OfMessageBody"], received["MD5OfBody"]):
        assert seen != hashlib.md5(b"one").hexdigest()


def test_duplicate_in_one_answer_and_later(sqs):
    sqs.send("one")
    with sqs.standin.faults({"fault": "duplicate"}):
        first, second = sqs.queue.receive()
    assert first["MessageId"] == second["MessageId"]
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    sqs.queue.call("DeleteMessage", ReceiptHandle=second["ReceiptHandle"])
    sqs.send("two")
    with sqs.standin.faults({"fault": "duplicate", "ms": 300}):
        assert bodies(sqs.queue.receive()) == ["two"]
        assert bodies(sqs.queue.receive(wait=20)) == ["two"]
        assert sqs.counts() == [0, 1, 0]  # once more, and no more


def test_reorder(sqs):
    for tens in range(3):
        sqs.send(*(str(tens * 10 + n) for n in range(10)))
    with sqs.standin.faults({"fault": "reorder"}):
        seen = [body for _ in range(3) for body in
                bodies(sqs.queue.receive())]
    assert sorted(map(int, seen)) == list(range(30))
    assert seen != [str(n) for n in range(30)]


def test_delay_and_undelete(sqs):
    with sqs.standin.faults({"fault": "delay", "ms": 8000},
                            {"fault": "undelete", "ms": 300}):
        sqs.send("one")
        assert sqs.counts() == [0, 0, 1]
        for left in (1, 0):
            message, = sqs.queue.receive(wait=20)
            sqs.queue.call("DeleteMessage",
                           ReceiptHandle=message["ReceiptHandle"])
            assert sqs.queue.depth() == left
