"""What a service manager hears of us (sd_notify(3)): one datagram; nobody asked, nobody told."""

import contextlib
import os
import socket


def notify(*lines: str) -> None:
    """Tell it: "READY=1", "STOPPING=1", "MAINPID=123"."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
    ):
        sock.setblocking(False)
        sock.sendto("\n".join(lines).encode(), path.replace("@", "\0", 1))
