"""Who gives way when all connections are taken."""

import pytest

from gatepost.reception.crowd import Crowd, Guest


class People:
    """A crowd, and who of it was sent away, in order."""

    def __init__(self) -> None:
        self.crowd = Crowd()
        self.gone: list[str] = []

    def come(self, network: str, name: str, *, may_go: bool = True, way: str = "") -> Guest:
        guest = Guest(network, lambda: may_go, lambda: self.gone.append(name), way)
        self.crowd.enter(guest)
        return guest


@pytest.fixture
def people() -> People:
    return People()


def test_the_oldest_of_the_largest_network_gives_way(people: People) -> None:
    people.come("few", "few1")
    for number in range(3):
        people.come("many", f"many{number}")
    assert people.crowd.make_room("new")
    assert people.crowd.make_room("few") is False  # two of each then
    assert people.gone == ["many0"]


def test_nobody_gives_way_to_his_own_network(people: People) -> None:
    for number in range(3):
        people.come("many", f"many{number}")
    assert not people.crowd.make_room("many")


def test_a_network_of_one_gives_way_to_nobody(people: People) -> None:
    people.come("one", "one1")
    assert not people.crowd.make_room("new")
    assert not Crowd().make_room("new")


def test_who_may_not_go_stays_and_the_next_one_goes(people: People) -> None:
    people.come("many", "logged in", may_go=False)
    people.come("many", "idle")
    people.come("many", "idle too")
    assert people.crowd.make_room("new")
    assert people.gone == ["idle"]


def test_where_nobody_of_the_largest_may_go_somebody_of_the_next_does(people: People) -> None:
    for number in range(5):
        people.come("busy", f"busy{number}", may_go=False)
    for number in range(3):
        people.come("idle", f"idle{number}")
    assert people.crowd.make_room("new")
    assert people.gone == ["idle0"]


def test_who_left_gives_way_no_more(people: People) -> None:
    first, second = people.come("many", "first"), people.come("many", "second")
    people.come("many", "third")
    people.crowd.leave(first)
    people.crowd.leave(first)
    assert people.crowd.make_room("new")
    assert people.gone == ["second"]
    people.crowd.leave(second)
    assert not people.crowd.make_room("new")


def test_the_balancer_that_has_most_gives_way_where_no_network_has_many(people: People) -> None:
    for number in range(4):
        people.come(f"forged{number}", f"forged{number}", way="evil", may_go=number != 1)
    people.come("a", "honest", way="good")
    people.come("b", "straight")
    assert not people.crowd.make_room("new", "evil")
    assert people.crowd.make_room("new")
    assert people.crowd.make_room("new", "good")
    assert not people.crowd.make_room("new", "good")  # two of each then
    assert people.gone == ["forged0", "forged2"]
    assert people.crowd.make_room("new", "third")  # of two one goes to who has none
    assert people.gone == ["forged0", "forged2", "forged3"]


def test_who_comes_by_a_balancer_has_nobody_give_way_who_came_without_one(people: People) -> None:
    for number in range(5):
        people.come(f"n{number}", f"n{number}")
    assert not people.crowd.make_room("new", "balancer")


def test_a_balancer_whose_clients_may_not_go_keeps_them(people: People) -> None:
    for number in range(3):
        people.come(f"n{number}", "logged in", way="balancer", may_go=False)
    assert not people.crowd.make_room("new")


def test_whoever_has_left_is_counted_no_more(people: People) -> None:
    here = [people.come(f"n{number}", "here", way="balancer") for number in range(3)]
    assert len(people.crowd) == 3
    for guest in here:
        people.crowd.leave(guest)
        people.crowd.leave(guest)
    assert len(people.crowd) == 0
    assert not people.crowd.make_room("new")
