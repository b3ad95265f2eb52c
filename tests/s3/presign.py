#!/usr/bin/env python3
"""presign.py HOST PATH - a presigned GET of the tester's, by Amazon's description of it."""
import datetime
import hashlib
import hmac
import sys
import urllib.parse

host, path = sys.argv[1:]
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
scope = f"{now[:8]}/us-east-1/s3/aws4_request"
query = urllib.parse.urlencode(sorted({
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": f"tester-key/{scope}",
    "X-Amz-Date": now,
    "X-Amz-Expires": "60",
    "X-Amz-SignedHeaders": "host",
}.items()), quote_via=urllib.parse.quote, safe="")
request = f"GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
key = b"AWS4tester-secret"
for part in scope.split("/"):
    key = hmac.digest(key, part.encode(), "sha256")
print(f"http://{host}{path}?{query}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}")
