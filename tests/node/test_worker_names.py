"""Leases are freed by the beginning of a worker's name: a dead one must not mean a living one."""

import socket

from gatepost.node.business import worker_id
from gatepost.node.child import Child


def child(index: int, pid: int, birth: int = 1) -> Child:
    return Child(index, pid, socket.socket(), 0, birth, 0.0)


def test_no_name_is_the_beginning_of_another():
    assert not worker_id("n", child(0, 1234)).startswith(worker_id("n", child(0, 123)))
    assert not worker_id("n", child(12, 3)).startswith(worker_id("n", child(1, 3)))
    assert not worker_id("n", child(0, 5, 12)).startswith(worker_id("n", child(0, 5, 1)))


def test_a_pid_that_comes_again_is_another_worker():
    assert worker_id("n", child(0, 7, 1)) != worker_id("n", child(0, 7, 2))
