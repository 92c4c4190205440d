"""One decider in a process of its own: waits for the signal, decides at once, prints what came of it.

The one argument is JSON: `url`, `token`, `body`, `ready` (a file it makes) and `go` (one it waits for).
"""

import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

DEADLINE_S = 60

if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    where = urlsplit(order["url"])
    connection = http.client.HTTPConnection(where.netloc, timeout=DEADLINE_S)
    connection.connect()
    body = json.dumps(order["body"])
    headers = {
        "Authorization": f"Bearer {order['token']}",
        "Content-Type": "application/json",
    }
    Path(order["ready"]).touch()
    deadline = time.monotonic() + DEADLINE_S
    while not Path(order["go"]).exists():
        assert time.monotonic() < deadline, "nobody gave the signal"
        time.sleep(0.0005)
    while True:
        connection.request("POST", where.path, body, headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        # Its key makes it the same decision: a server that is busy may be asked again.
        if answer.status != 503 or not said["retryable"] or time.monotonic() > deadline:
            break
    print(json.dumps({"status": answer.status, "body": said}))
