"""A studio that serves on a port of this machine, and requests as a browser sends them."""

import contextlib
import http.client
import json
import threading
import time
from urllib.parse import quote

import pytest


class Client:
    """Requests to a studio, with its token's cookie once it was let in."""

    def __init__(self, port, token):
        self.port, self.token, self.cookie = port, token, None

    def send(self, method, path, body=None, headers=None, host=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"Host": host or f"127.0.0.1:{self.port}"}
        if method != "GET":
            given["Origin"] = f"http://127.0.0.1:{self.port}"
        if self.cookie:
            given["Cookie"] = self.cookie
        content = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        connection.request(method, path, body=content, headers={**given, **(headers or {})})
        answer = connection.getresponse()
        held = answer.read()
        connection.close()
        return answer, held

    def enter(self):
        answer, _ = self.send("GET", f"/?token={self.token}")
        assert answer.status == 303
        self.cookie = answer.headers["set-cookie"].split(";")[0]
        return answer

    def get(self, path, status=200):
        answer, held = self.send("GET", path)
        assert answer.status == status, held[:2000]
        return json.loads(held) if "json" in answer.headers["content-type"] else held.decode()

    def post(self, path, body=None, status=200):
        answer, held = self.send("POST", path, body or {})
        assert answer.status == status, held[:2000]
        return json.loads(held)

    def put(self, name, path, content, status=200):
        answer, held = self.send("PUT", f"/api/recordings/{name}/file?path={quote(path, safe='')}", content)
        assert answer.status == status, held[:2000]
        return json.loads(held)

    def ended(self, job, seconds=600):
        """A job's snapshot once it has ended."""
        until = time.monotonic() + seconds
        while (now := self.get(f"/api/jobs/{job}"))["active"]:
            assert time.monotonic() < until, now
            time.sleep(0.1)
        return now


@contextlib.contextmanager
def serving(folder):
    """A client of a studio that serves a folder, in a thread of this process, as `keras-kd studio` does."""
    for needed in ("starlette", "uvicorn"):
        pytest.importorskip(needed, reason=f"{needed} is not installed: pip install 'keras-kd[studio]'")
    import uvicorn

    from micro.studio import serve
    from micro.studio.workspace import Workspace

    space = Workspace(folder).make()
    listening = serve._socket(0)
    address = serve.Address(listening.getsockname()[1], serve.new_token())
    app = serve.application(space, address.token, address.port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Client(address.port, address.token)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
