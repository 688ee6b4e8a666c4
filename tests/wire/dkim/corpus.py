"""Messages of every shape that signers and verifiers disagree about."""

from tests.wire.dkim.vectors import BODY, HEADER

_FROM = b"From: Joe <joe@football.example.com>\r\n"

CORPUS: dict[str, bytes] = {
    "plain": HEADER + b"\r\n" + BODY,
    "folded": _FROM + b"Subject: a very\r\n  long\r\n\tsubject  \r\nTo:\r\n bob@y.example\r\n\r\nHi\r\n",
    "8-bit": _FROM + "Subject: Grüße\r\n\r\nÄpfel und Öl\r\n".encode(),
    "latin-1 body": _FROM + b"Subject: x\r\n\r\n\xc4pfel \xff\x80\r\n",
    "empty body": _FROM + b"Subject: x\r\n\r\n",
    "body of empty lines": _FROM + b"\r\n" + b"\r\n" * 20,
    "body of white space": _FROM + b"\r\n  \t \r\n \r\n",
    "trailing spaces": _FROM + b"\r\na  \t b \r\n\tc\t\r\n  d\t\t \r\n",
    "trailing empty lines": _FROM + b"\r\ntext\r\n\r\n \r\n\r\n",
    "empty line between": _FROM + b"\r\n\r\n\r\ntext\r\n\r\n\r\nmore\r\n",
    "no final line end": _FROM + b"\r\ntext",
    "dots": _FROM + b"\r\n.\r\n..\r\n. \r\n",
    "same field twice": _FROM + b"References: <1@x>\r\nReferences: <2@x>\r\nX-A: 1\r\n\r\nHi\r\n",
    "empty fields": _FROM + b"Subject:\r\nCc: \r\nReply-To:\t\r\n\r\nHi\r\n",
    "names in strange case": b"fROM: joe@football.example.com\r\nSUBJECT:x\r\nmessage-ID: <1@x>\r\n\r\nHi\r\n",
    "one-click": _FROM + b"List-Unsubscribe: <https://x.example/u>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nHi\r\n",
    "long body": _FROM + b"\r\n" + b"0123456789 abcdef  \r\n" * 20_000,
}  # fmt: skip
