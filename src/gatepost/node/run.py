"""From settings to a running node: everything that can be wrong is said before a port opens."""

import logging
import os
from collections.abc import Callable
from ipaddress import ip_address

from gatepost.model.settings import Settings
from gatepost.net import channel_binding
from gatepost.net.address import parse_socket_address
from gatepost.net.certificate import read_certificates
from gatepost.net.clock import now
from gatepost.net.counters import Counters
from gatepost.net.open_files import FEWEST, raise_limit, too_few
from gatepost.net.tls import FrontContexts
from gatepost.node.business import Node, stamps_of
from gatepost.node.handover import inherit
from gatepost.node.home import node_name
from gatepost.node.logs import set_up_logs
from gatepost.node.prepare import CannotServeError, ToldToEndError, prepare_store
from gatepost.node.sockets import close, listen, open_http, open_listeners
from gatepost.node.sole_server import sole_server, taken_over
from gatepost.node.supervisor import Supervisor, hold_signals

_log = logging.getLogger(__name__)


def run(settings: Settings, reload_settings: Callable[[], Settings | None]) -> int:
    """Serve until told to stop; returns the exit status.

    Args:
        settings: what to serve.
        reload_settings: reads the file again at SIGHUP; None when it is faulty (and was said).

    Raises:
        CannotServeError: before anything was opened or changed.
        CertificateError, PortUnavailableError, NewerDatabaseError: likewise.

    """
    set_up_logs(settings.log.format)
    hold_signals()
    workers = settings.workers or os.cpu_count() or 1
    stamps = stamps_of(settings)  # before they are read: what changes from now on is noticed
    certificates = read_certificates(settings.tls)
    for certificate in certificates:
        if warning := certificate.warning(now()):
            _log.warning("%s", warning)
    if not channel_binding.is_sound():  # asked before the fork: the workers know it, too
        _log.warning("no channel binding with this Python: SCRAM-SHA-256-PLUS is not offered")
    fronts = FrontContexts(certificates)
    for listener in settings.listeners:
        fronts.front_context(listener)
    _allow_connections(settings.limits.connections, workers)
    inherited = inherit()
    if inherited.lock is None:
        lock = sole_server(settings.data_dir)
    else:
        lock = taken_over(inherited.lock, settings.data_dir)
    listeners = open_listeners(settings.listeners, workers, inherited)
    http = None
    try:
        http = open_http(settings.http, inherited) if settings.http else None
        inherited.close_rest()
        processes = workers + (http is not None)
        prepare_store(settings, alone=not inherited.former)
        listen(listeners, http)
        node = Node(
            name=node_name(settings),
            settings=settings,
            reload_settings=reload_settings,
            certificates=certificates,
            fronts=fronts,
            listeners=listeners,
            # twice: a retiring worker and its successor
            counters=Counters.create(2 * processes),
            dead=inherited.dead,
            stamps=stamps,
            http=http,
            workers=workers,
            lock=lock,
            inherited=inherited,
        )
        for listener in settings.listeners:
            _log.info("%s on %s", listener.role.value, listener.address)
        if settings.http:
            _tell_http(settings.http.address)
        if inherited.pipe is None:  # else our predecessor stands there until we serve
            node.say_serving()
        return Supervisor(processes, node).run()
    except ToldToEndError:
        _log.info("told to end before the store was there")
        return 0
    finally:
        close(listeners, http)
        os.close(lock)


def _tell_http(address: str) -> None:
    _log.info("HTTP on %s", address)
    if not ip_address(parse_socket_address(address).host).is_loopback:
        _log.warning(
            "HTTP on %s is open to others and speaks no TLS: "
            "let it listen on 127.0.0.1, behind a web server",
            address,
        )


def _allow_connections(wanted: int, workers: int) -> None:
    """Get the open files that connections need, or say that there are too few.

    Raises:
        CannotServeError: so few that a worker could not even start.

    """
    open_files = raise_limit()
    mend = "raise the limit (LimitNOFILE= in systemd, ulimit -n in a shell)"
    if open_files < FEWEST:
        words = f"{open_files} open files per process are too few, {FEWEST} the least"
        raise CannotServeError(f"{words}; {mend}")
    if words := too_few(open_files, connections=wanted, workers=workers):
        _log.warning("%s; %s", words, mend)
