"""How a message is handled, in words: its lane, and what its sender wants to hear."""

from gatepost.model.delivery import Delivery
from gatepost.model.submission import Submission
from gatepost.wire.smtp.notification import Notify, decode_xtext


def handling_words(delivery: Delivery) -> str:
    """Return "lane bulk; its sender hears of success and failure"."""
    words = [f"lane {delivery.lane.value}"]
    if delivery.pool:
        words.append(f"pool {delivery.pool}")
    notify, orcpt = delivery.wishes.notify, delivery.wishes.orcpt
    if notify is not None:
        wanted = [
            word
            for word, what in (
                ("success", Notify.SUCCESS),
                ("failure", Notify.FAILURE),
                ("delay", Notify.DELAY),
            )
            if what in notify
        ]
        words.append(f"its sender wants to hear of {' and '.join(wanted) or 'nothing'}")
    if orcpt:
        words.append(f"written to as {decode_xtext(orcpt.partition(';')[2])}")
    return "; ".join(words)


def report_words(submission: Submission) -> str:
    """Return what reports about a message will hold."""
    words = [f"with the {'whole message' if submission.ret == 'FULL' else 'header'}"]
    if submission.envid:
        words.append(f"envelope id {decode_xtext(submission.envid)}")
    return ", ".join(words)
