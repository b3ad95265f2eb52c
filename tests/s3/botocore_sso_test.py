#!/usr/bin/env python3
"""botocore_sso_test.py - single sign-on: botocore and the pagein command ask the same of the same
endpoints (endpoints.py), for the same profiles and cached tokens, and leave the same cache behind.

Arguments: the command, endpoints.py.
"""
import datetime
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request

from support import skip

try:
    import botocore.session
except ImportError:
    skip("no botocore (python3-botocore)")

COMMAND, ENDPOINTS = sys.argv[1:]
NOW = datetime.datetime.now(datetime.timezone.utc)
ROLE = "sso_account_id = 123456789012\nsso_role_name = Some Role+x/y\n"
LOGIN = "sso_start_url = https://x.example/start\nsso_region = eu-west-3\n"
SESSION = f"[default]\nsso_session = my corp\n{ROLE}[sso-session 'my corp']\n{LOGIN}"
OF_OLD = f"[default]\n{ROLE}{LOGIN}"
KEYS = json.dumps({"roleCredentials": {
    "accessKeyId": "AKSSO", "secretAccessKey": "s", "sessionToken": "t",
    "expiration": int((NOW.timestamp() + 7200) * 1000)}})
RENEWED = json.dumps({"accessToken": "eyNew", "expiresIn": 3600, "refreshToken": "other",
                      "tokenType": "Bearer"})


def when(seconds):
    return (NOW + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def token(seconds, **more):
    return {"accessToken": "eyToken", "expiresAt": when(seconds), "region": "eu-west-3",
            "startUrl": "https://x.example/start", **more}


CLIENT = {"clientId": "id", "clientSecret": "secret", "refreshToken": "again",
          "registrationExpiresAt": when(86400)}
CASES = [
    ("of old", OF_OLD, "https://x.example/start", token(7200)),
    ("of old, and not renewed", OF_OLD, "https://x.example/start", token(300, **CLIENT)),
    ("a session", SESSION, "my corp", token(7200, **CLIENT)),
    ("a session's renewal", SESSION, "my corp", token(300, **CLIENT)),
    ("a session's renewal, too late", SESSION, "my corp", token(-300, **CLIENT)),
    ("a session without a client", SESSION, "my corp", token(300)),
]


class Endpoints:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, ENDPOINTS], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def call(self, method, path, body=""):
        request = urllib.request.Request(self.url + path, body.encode(), method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def requests(self):
        """Those for single sign-on: method, path, and what says who asks."""
        found = []
        for i in range(int(self.call("GET", "/.count"))):
            head, _, body = self.call("GET", f"/.request/{i}").partition("\n\n")
            first, *lines = head.split("\n")
            headers = dict(line.split(": ", 1) for line in lines if ": " in line)
            path, _, query = first.partition("?")
            if path.split(" ")[1] in ("/token", "/federation/credentials"):
                found.append((path, sorted(query.split("&")),
                              headers.get("x-amz-sso_bearer_token"), body and json.loads(body)))
        return found


class Session(botocore.session.Session):
    """Its variables for endpoints are younger (1.31) than Debian 12's botocore."""

    def create_client(self, *arguments, **keywords):
        return super().create_client(*arguments, **{**keywords, "endpoint_url": endpoints.url})


def by_botocore():
    return Session().get_credentials().get_frozen_credentials().access_key


def by_pagein():
    # There is no such object; what it was asked for with is on record.
    subprocess.run([COMMAND, "stat", "s3://bucket/key"], stderr=subprocess.DEVNULL, check=False)
    for i in range(int(endpoints.call("GET", "/.count"))):
        request = endpoints.call("GET", f"/.request/{i}")
        if "Credential=" in request:
            return request.partition("Credential=")[2].partition("/")[0]
    return None


def run(how, config, name, cached):
    """Who we are by these files, what was asked, and what the cache has then."""
    with tempfile.TemporaryDirectory() as home:
        cache = os.path.join(home, ".aws/sso/cache")
        path = os.path.join(cache, hashlib.sha1(name.encode()).hexdigest() + ".json")
        os.makedirs(cache)
        with open(os.path.join(home, ".aws/config"), "w", encoding="utf-8") as file:
            file.write(config)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(cached, file)
        os.environ["HOME"] = home
        # It has looked where the home was when it was loaded.
        for loaded in (botocore.tokens.SSOTokenProvider, botocore.credentials.SSOProvider):
            loaded._SSO_TOKEN_CACHE_DIR = cache
        botocore.utils.JSONFileCache.CACHE_DIR = cache
        endpoints.call("PUT", "/.reset")
        query = "role_name=Some%20Role%2Bx%2Fy&account_id=123456789012"
        for answer in (f"GET /federation/credentials?{query}\n\n{KEYS}",
                       f"POST /token\n\n{RENEWED}"):
            endpoints.call("PUT", "/.answer", answer)
        access_key = how()
        with open(path, encoding="utf-8") as file:
            left = json.load(file)
        left["expiresAt"] = left["expiresAt"][:10]
        return access_key, endpoints.requests(), left


for variable in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[variable]
endpoints = Endpoints()
os.environ.update(AWS_ENDPOINT_URL=endpoints.url, AWS_EC2_METADATA_DISABLED="true",
                  AWS_DEFAULT_REGION="eu-west-3", no_proxy="127.0.0.1")
failures = 0
for what, *case in CASES:
    theirs, ours = run(by_botocore, *case), run(by_pagein, *case)
    if theirs != ours or ours[0] != "AKSSO":
        print(f"FAILED: {what}:\n  botocore: {theirs}\n  pagein:   {ours}")
        failures += 1
endpoints.process.stdin.close()
endpoints.process.wait()
print(f"{len(CASES) - failures} of {len(CASES)}, botocore {botocore.__version__}")
sys.exit(failures > 0)
