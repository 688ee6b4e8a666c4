"""Leases are freed by the beginning of a worker's name: a dead one must not mean a living one."""

from gatepost.model.settings import Settings
from gatepost.node.run import worker_id


def test_no_name_is_the_beginning_of_another():
    settings = Settings.model_construct(hostname="relay.test")
    assert not worker_id(settings, 0, 1234).startswith(worker_id(settings, 0, 123))
    assert not worker_id(settings, 12, 3).startswith(worker_id(settings, 1, 3))
