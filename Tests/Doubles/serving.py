"""What the doubles have in common."""

import sys
from http.server import ThreadingHTTPServer


class DoubleServer(ThreadingHTTPServer):
    """A server on a free port of 127.0.0.1 whose clients may go away at any moment: that is what is being tested, and not told."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)
