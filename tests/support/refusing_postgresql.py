"""A PostgreSQL that lets nobody in, and says so by one code, in whatever language."""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: What asks whether TLS, or GSSAPI, is spoken (SSLRequest, GSSENCRequest).
_MAY_BE_ASKED: Final = (80877103, 80877104)


class _Refuses(socketserver.BaseRequestHandler):
    request: socket.socket
    server: "_Server"

    def handle(self) -> None:
        while len(head := self.request.recv(8, socket.MSG_WAITALL)) == 8:
            length, number = struct.unpack("!II", head)
            if number not in _MAY_BE_ASKED:
                self.request.recv(length - 8, socket.MSG_WAITALL)
                self.request.sendall(self.server.answer)
                return
            self.request.sendall(b"N")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    answer = b""


@contextmanager
def refusing_server(code: str, said: str, severity: str = "FATAL") -> Iterator[int]:
    """Serve on loopback; yield the port."""
    fields = f"S{severity}\0VFATAL\0C{code}\0M{said}\0\0".encode()
    with _Server(("127.0.0.1", 0), _Refuses) as server:
        server.answer = b"E" + struct.pack("!I", len(fields) + 4) + fields
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
