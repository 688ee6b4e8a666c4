"""Dovecot's authentication of the test's own, for a Postfix that asks it: passwords and tokens."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.node import wait_until
from tests.support.programs import need

SETTINGS = """\
protocols =
base_dir = {root}/run
log_path = {root}/log
ssl = no
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256{more}
auth_failure_delay = 0
{tokens}
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {root}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
"""
TOKENS = """\
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {root}/oauth2
}}
"""
OAUTH2 = """\
introspection_url = {url}
introspection_mode = post
force_introspection = yes
username_attribute = email
active_attribute = active
active_value = true
"""
#: For the main.cf of a Postfix that lets those in who log in over TLS, with chain.pem and key.pem.
POSTFIX = """
smtpd_tls_cert_file = {root}/chain.pem
smtpd_tls_key_file = {root}/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/auth
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""


@contextmanager
def running_dovecot(name: str, password: str, *, introspection_url: str = "") -> Iterator[Path]:
    """Start Dovecot's authentication alone; yield the directory of its socket "auth".

    `introspection_url` (RFC 7662), with name and password: for XOAUTH2 and OAUTHBEARER.
    """
    program = need("dovecot")
    root = Path(tempfile.mkdtemp(prefix="gatepost-dovecot-"))
    root.chmod(0o755)
    (root / "users").write_text(f"{name}:{{PLAIN}}{password}\n")
    more, tokens = "", ""
    if introspection_url:
        more, tokens = " xoauth2 oauthbearer", TOKENS.format(root=root)
        (root / "oauth2").write_text(OAUTH2.format(url=introspection_url))
    config = root / "dovecot.conf"
    config.write_text(SETTINGS.format(root=root, more=more, tokens=tokens))
    try:
        # In the foreground: a daemon would keep our pipes open.
        process = subprocess.Popen(
            [program, "-F", "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until((root / "auth").exists, "Dovecot's socket")
            yield root
        finally:
            process.terminate()
            process.wait(timeout=60)
    finally:
        shutil.rmtree(root, ignore_errors=True)
