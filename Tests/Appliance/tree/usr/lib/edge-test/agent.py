"""Does in the box under test what the test outside asks for: a JSON line {"command": …}, and its answer."""

import json
import socketserver
import subprocess


class Requests(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            request = json.loads(line)
            try:
                done = subprocess.run(["bash", "-c", request["command"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      stdin=subprocess.DEVNULL, timeout=request.get("seconds", 300))
                answer = {"code": done.returncode, "text": done.stdout.decode(errors="replace")[-100_000:]}
            except subprocess.TimeoutExpired:
                answer = {"error": "timed out"}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("0.0.0.0", 9000), Requests).serve_forever()
