"""What counts mail to large providers, in a worker and in the HTTP process."""

from gatepost.delivery.routing import Routing
from gatepost.model.route import ViaMx
from gatepost.net.resolver import Resolver
from gatepost.reception.bulk import BulkCounter
from gatepost.reception.hosted import Hosted
from gatepost.reception.mailbox_providers import mailbox_providers
from gatepost.store.protocols import Store


def build_bulk(store: Store, routing: Routing, resolver: Resolver) -> BulkCounter:
    """Return what counts mail to large providers; `resolver` is the one that deliveries ask."""

    def goes_by_mx(domain: str) -> bool:
        return isinstance(routing.hop(f"x@{domain}", domain).via, ViaMx)

    providers = mailbox_providers()
    return BulkCounter(store, providers, Hosted(providers, resolver, goes_by_mx))
