"""A chat-completions server that misbehaves on demand: a real one, on this machine.

    with Server((429, {}, b""), right("An abstract.")) as server:
        ApiModel(server.url, "small-1", tmp_path).complete("Summarise: …")

answers what comes next in its script, then the last item for ever; `server.asked` lists what it was asked.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def right(text="A summary.", **more):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    answer = {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}} | more
    return 200, {}, json.dumps(answer).encode()


class Server:
    """Answers by `script`: what comes next (the last item stays), each (status, headers, body) or a function."""

    def __init__(self, *script):
        self.script, self.asked = list(script), []
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_of_test": self}))
        self.http.handle_error = lambda *_: None  # a client that gave up waiting is no news
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_of_test: Server

    def do_POST(self):
        server = self.server_of_test
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.asked.append({"path": self.path, "headers": dict(self.headers), "body": body})
            step = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        answer = step(self, body) if callable(step) else step
        if answer:
            status, headers, content = answer
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_):
        pass


def hang(handler, body):
    handler.server_of_test.closing.wait(5)


def drip(handler, body):
    """A byte now and then, for ever: each one in time, the whole never."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
    while not handler.server_of_test.closing.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()
