"""Takes alerts by HTTP POST and keeps what it took, a line each; what it answers is in a file."""

import http.server
import json
import pathlib
import ssl
import sys
import threading
import time

port, home, token, certificate = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer are two writes, and the second would wait for the first's ACK.
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = (home / "answer").read_text().strip()
        if answer == "hang":
            time.sleep(3600)
        status = int(answer)
        if token and self.headers["Authorization"] != "Bearer " + token:
            status = 401
        if status < 300:
            took = {"path": self.path, "type": self.headers["Content-Type"], "body": json.loads(body)}
            with lock, open(home / "taken", "a") as taken:
                taken.write(json.dumps(took) + "\n")
        said = b"said " + (self.headers["Authorization"] or "nothing").encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", port), Handler)
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
