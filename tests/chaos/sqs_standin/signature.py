"""Is a request signed as AWS' documentation of Signature Version 4 asks?

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

Written from that text alone, so that it is an independent check of
lib/sigv4.c: it rebuilds the canonical request from what arrived on the wire.
"""

import calendar
import hashlib
import hmac
import re
import time
import urllib.parse

SKEW_SECONDS = 15 * 60

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/,]+)/(?P<date>\d{8})/"
    r"(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request, *"
    r"SignedHeaders=(?P<headers>[^,]+), *Signature=(?P<signature>[0-9a-f]+)")


class Refused(Exception):
    """The code that SQS would answer with, and why."""

    def __init__(self, code, why, status=403):
        super().__init__(why)
        self.code, self.status = code, status
        self.kind = code


class Untimely(Refused):
    """The signature may be right, but the clock is not."""

    def __init__(self, why):
        super().__init__("InvalidSignatureException", why)
        self.kind = "date"


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signing_key(secret, date, region, service):
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def canonical_request(method, target, headers, signed, body):
    """headers: pairs as they came; signed: their names, as in the request."""
    path, _, query = target.partition("?")
    # The path of all services but S3 is encoded once more.
    path = urllib.parse.quote(path or "/", safe="/-_.~")
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    query = "&".join(f"{name}={value}" for name, value in sorted(
        (_quote(name), _quote(value)) for name, value in pairs))
    lines = []
    for name in signed:
        values = [re.sub(" +", " ", value.strip())
                  for other, value in headers if other.lower() == name]
        lines.append(f"{name}:{','.join(values)}\n")
    return "\n".join([method, path, query, "".join(lines), ";".join(signed),
                      hashlib.sha256(body).hexdigest()])


def sign(request, key_id_secret, when, region, service):
    """The signature of a canonical request; when: "20260101T000000Z"."""
    scope = f"{when[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    return _hmac(signing_key(key_id_secret, when[:8], region, service),
                 "\n".join(["AWS4-HMAC-SHA256", when, scope, digest])).hex()


def _check_date(when, scope_date, now):
    if when[:8] != scope_date:
        raise Refused("InvalidSignatureException",
                      "Date in Credential scope does not match X-Amz-Date")
    try:
        then = calendar.timegm(time.strptime(when, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused("IncompleteSignatureException",
                      f"X-Amz-Date {when!r} is no date", 400) from None
    if abs(now - then) > SKEW_SECONDS:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        what = "Signature expired" if then < now else \
            "Signature not yet current"
        raise Untimely(f"{what}: {when} is more than 15 min. from {stamp}")


def _check_headers(signed, headers):
    """What an attacker could change unnoticed must not be left unsigned."""
    if signed != sorted(set(signed)):
        raise Refused("IncompleteSignatureException",
                      "SignedHeaders are not sorted", 400)
    present = {name.lower() for name, _ in headers}
    wanted = {"host"} | {name for name in present
                         if name.startswith("x-amz-")}
    for name in sorted(wanted - set(signed)):
        raise Refused("InvalidSignatureException",
                      f"header {name} is not signed")
    for name in sorted(set(signed) - present):
        raise Refused("InvalidSignatureException",
                      f"signed header {name} did not come")


def check(method, target, headers, body, keys, region, now):
    """Raises Refused.  keys: id -> {"secret": ..., "token": ... or None}."""
    values = {name.lower(): value for name, value in headers}
    if "authorization" not in values:
        raise Refused("MissingAuthenticationTokenException",
                      "Missing Authentication Token")
    match = AUTHORIZATION.fullmatch(values["authorization"].strip())
    if match is None or "x-amz-date" not in values:
        raise Refused("IncompleteSignatureException",
                      "Authorization or X-Amz-Date is not as it should be",
                      400)
    if (match["region"], match["service"]) != (region, "sqs"):
        raise Refused("InvalidSignatureException",
                      f"Credential should be scoped to {region}/sqs")
    if match["key"] not in keys:
        raise Refused("UnrecognizedClientException",
                      "The security token included in the request is invalid")
    key = keys[match["key"]]
    if values.get("x-amz-security-token") != key.get("token"):
        raise Refused("UnrecognizedClientException",
                      "The security token included in the request is invalid")
    _check_date(values["x-amz-date"], match["date"], now)
    signed = match["headers"].split(";")
    _check_headers(signed, headers)
    if values.get("x-amz-content-sha256", hashlib.sha256(body).hexdigest()) \
            != hashlib.sha256(body).hexdigest():
        raise Refused("InvalidSignatureException",
                      "x-amz-content-sha256 is not of this body")
    expected = sign(canonical_request(method, target, headers, signed, body),
                    key["secret"], values["x-amz-date"], region, "sqs")
    if not hmac.compare_digest(expected, match["signature"]):
        raise Refused("InvalidSignatureException",
                      "The request signature we calculated does not match "
                      "the signature you provided.")
