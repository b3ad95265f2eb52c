#!/usr/bin/env python3
"""botocore_sign_test.py - hundreds of awkward keys and queries, signed by botocore and by us.

First whole requests, as botocore's client would send them: path, query and signature must be the
same byte for byte. Then its signer alone, with headers and services that its S3 client never uses.
The seed is fixed.
"""
import datetime
import os
import random
import sys
from unittest import mock
from urllib.parse import urlsplit

from support import Answers, skip

try:
    import botocore.auth
    import botocore.awsrequest
    import botocore.config
    import botocore.credentials
    import botocore.session
except ImportError:
    skip("no botocore (python3-botocore)")

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NOW = datetime.datetime(2024, 2, 29, 23, 59, 58)
NOW_S = str(int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp()))
ALPHABET = ("abzAZ019-._~/ +*%&=?#!$'(),:;@[]\"<>\\^`{|}\x01\x1f\x7f\t"
            "\u00e9\u00df\u4e2d\U0001f600")
FIXED = ["a", "a//b", "x/../y", "x/./y", ".", "..", "dir/", "a+b c", "%41", "%2F", "a%20b", "~",
         "\u00e9", "\x01", "\x7f", "a\tb", "k" * 1024, "?x=y", "#", "a&b=c", ";", "a:b@c"]

generator = random.Random(20240229)


class Frozen(datetime.datetime):
    """The clock of whichever botocore this is: old ones call utcnow(), new ones now(UTC)."""

    @classmethod
    def utcnow(cls):
        return NOW

    @classmethod
    def now(cls, tz=None):
        return NOW.replace(tzinfo=tz)


def freeze():
    if hasattr(botocore.auth, "get_current_datetime"):
        return mock.patch("botocore.auth.get_current_datetime", lambda *arguments, **named: NOW)
    fake = mock.Mock(wraps=datetime)
    fake.datetime = Frozen
    return mock.patch("botocore.auth.datetime", fake)


def random_key():
    return "".join(generator.choice(ALPHABET) for _ in range(generator.randint(1, 40)))


def compare(what, ours, theirs):
    if ours != theirs:
        sys.exit(f"{what!r}:\nours   {ours}\ntheirs {theirs}")


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


def our_headers(answers, *arguments):
    text = answers.ask("sign", *arguments)
    if not isinstance(text, str):
        sys.exit(f"{arguments!r}: {text}")
    assert text.endswith("\r\n")
    return dict(line.split(": ", 1) for line in text[:-2].split("\r\n"))


def our_query(answers, parameters):
    parts = [answers.ask("encode", name, None) + "=" + answers.ask("encode", value, None)
             for name, value in parameters]
    # The order is not ours to choose: the signer sorts.
    generator.shuffle(parts)
    return "&".join(parts)


# ---- whole requests ----------------------------------------------------------------------------

def make_client(style, token):
    # New versions ask for checksums of answers by a header, and sign it.
    os.environ["AWS_RESPONSE_CHECKSUM_VALIDATION"] = "when_required"
    os.environ["AWS_REQUEST_CHECKSUM_CALCULATION"] = "when_required"
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        os.environ[name] = "/nowhere"
    return botocore.session.Session().create_client(
        "s3", region_name="eu-west-3", endpoint_url="http://127.0.0.1:9000",
        aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="wJalr/XUtn+FEMI",
        aws_session_token=token,
        config=botocore.config.Config(s3={"addressing_style": style}))


def sent(client, operation, parameters):
    """The request that would go out; nothing does."""
    seen = []

    def catch(request, **named):
        seen.append(request)
        return botocore.awsrequest.AWSResponse(request.url, 404, {}, None)

    client.meta.events.register("before-send.s3", catch)
    try:
        with freeze():
            getattr(client, operation)(**parameters)
    except Exception:  # of the answer, which is none
        if not seen:
            raise
    finally:
        client.meta.events.unregister("before-send.s3", catch)
    return seen[0]


def check_sent(answers, request, path, query, token, payer):
    parts = urlsplit(request.url)
    compare("path", path, parts.path)
    compare("query", sorted(query.split("&")), sorted(
        part if "=" in part or not part else part + "=" for part in parts.query.split("&")))
    theirs = lower(request.headers)
    ours = our_headers(answers, request.method, parts.netloc, path, query, EMPTY, None, payer,
                       "AKIDEXAMPLE", "wJalr/XUtn+FEMI", token, "eu-west-3", "s3", NOW_S)
    for name, value in lower(ours).items():
        their_value = theirs[name]
        compare((name, path, query), value,
                their_value.decode() if isinstance(their_value, bytes) else their_value)


def test_objects(answers):
    count = 0
    for token in (None, "FQoGZX/+tok=="):
        client = make_client("path", token)
        for key in FIXED + [random_key() for _ in range(150)]:
            payer = generator.choice((None, "requester"))
            parameters = {"Bucket": "my-bucket", "Key": key}
            query = []
            if payer:
                parameters["RequestPayer"] = payer
            if generator.random() < 0.3:
                parameters["VersionId"] = "v/+=&" + random_key().replace("\x7f", "")
                query.append(("versionId", parameters["VersionId"]))
            path = "/my-bucket/" + answers.ask("encode", key, "yes")
            for operation in ("get_object", "head_object"):
                check_sent(answers, sent(client, operation, parameters), path,
                           our_query(answers, query), token, payer)
                count += 1
    return count


def test_listings(answers):
    count = 0
    client = make_client("path", None)
    for prefix in FIXED + [random_key() for _ in range(150)]:
        parameters = {"Bucket": "my-bucket", "Prefix": prefix, "Delimiter": "/",
                      "EncodingType": "url", "MaxKeys": 1000}
        query = [("list-type", "2"), ("prefix", prefix), ("delimiter", "/"),
                 ("encoding-type", "url"), ("max-keys", "1000")]
        if generator.random() < 0.5:
            parameters["ContinuationToken"] = random_key()
            query.append(("continuation-token", parameters["ContinuationToken"]))
        check_sent(answers, sent(client, "list_objects_v2", parameters), "/my-bucket",
                   our_query(answers, query), None, None)
        count += 1
    return count


# ---- the signer alone ---------------------------------------------------------------------------

def test_signer(answers):
    for number in range(300):
        service = generator.choice(("s3", "s3", "sts"))
        token = generator.choice((None, "tok/+=="))
        secret = "".join(generator.choice("abcXYZ019/+") for _ in range(generator.randint(1, 100)))
        host = generator.choice(("b.s3.amazonaws.com", "127.0.0.1:8080", "[::1]:9000"))
        names = [random_key() for _ in range(generator.randint(0, 6))]
        # The same name twice is sorted by its values; one without "=" has the value "".
        names += names[:1]
        query = our_query(answers, [(name, random_key()) for name in names])
        if generator.random() < 0.3:
            query += ("&" if query else "") + generator.choice(("uploads", "acl", "versions="))
        headers = {"Host": host}
        if service == "s3":
            method = generator.choice(("GET", "HEAD"))
            path = "/" + answers.ask("encode", random_key(), "yes")
            payload, kind, signer = EMPTY, None, botocore.auth.S3SigV4Auth
            body = b""
        else:
            method, path, body = "POST", "/", random_key().encode()
            kind = "application/x-www-form-urlencoded; charset=utf-8"
            headers["Content-Type"] = kind
            import hashlib
            payload, signer = hashlib.sha256(body).hexdigest(), botocore.auth.SigV4Auth
        request = botocore.awsrequest.AWSRequest(
            method, f"http://{host}{path}" + ("?" + query if query else ""), headers, body)
        with freeze():
            signer(botocore.credentials.Credentials("AKID", secret, token), service,
                   "us-east-1").add_auth(request)
        ours = our_headers(answers, method, host, path, query, payload, kind, None, "AKID", secret,
                           token, "us-east-1", service, NOW_S)
        theirs = lower(request.headers)
        for name, value in lower(ours).items():
            compare((number, name, path, query), value, theirs[name])
    return 300


answers = Answers()
counts = [test(answers) for test in (test_objects, test_listings, test_signer)]
answers.close()
print(f"botocore {botocore.__version__}: {counts[0]} requests for objects, {counts[1]} listings, "
      f"{counts[2]} of the signer alone")
