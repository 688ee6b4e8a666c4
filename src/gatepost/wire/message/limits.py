"""How large a header section may grow, each figure once, in octets unless said."""

from typing import Final

#: No RFC bounds it. Postfix cuts one field at 100 KiB (header_size_limit), Gmail refuses above
#: 500 KB in all.
HEADER_SECTION: Final = 256 * 1024
#: A section above this is read where it holds nobody up. Its words are read one by one where they are not
#: ASCII or say who sent it again: 8 ms for these octets, and 0.25 s for what a section may have.
LONG_HEADER: Final = 16 * 1024
#: Fields in one header section.
HEADER_FIELDS: Final = 1000
#: What we add to a section and its fields has room besides: trace, what was missing, signatures, links.
ADDED_SECTION: Final = 32 * 1024
ADDED_FIELDS: Final = 100
#: RFC 5321 §6.3: "normally at least 100 Received entries" before a loop is assumed.
RECEIVED_FIELDS: Final = 100
#: RFC 5322 §2.1.1: a line may have so many, without its CRLF ...
LINE: Final = 998
#: ... and should have no more than these.
PREFERRED_LINE: Final = 78
#: Addresses in one From, Sender or Reply-To field.
ADDRESSES: Final = 1000
#: Octets of one such field, and of all together that say who sent a message again. Its addresses are read
#: word by word: a quarter of a megabyte of them would take 0.4 s.
ADDRESS_FIELD: Final = 16 * 1024
#: Octets of the fields of addresses that hold what is to be written in ASCII: two thousand recipients with
#: their names.
WRITTEN_ADDRESSES: Final = 64 * 1024
#: So much of a returned message's header section goes into a report.
RETURNED_HEADER: Final = 32 * 1024
#: A message up to this comes back whole where its sender wants that (RFC 3461 §6.2 lets us choose).
RETURNED_MESSAGE: Final = 1024 * 1024
