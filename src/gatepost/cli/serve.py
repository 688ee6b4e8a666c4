"""`gatepost serve`: run."""

import os
from typing import TYPE_CHECKING, Final

from gatepost.cli import usage
from gatepost.cli.context import fail, load_settings, say_error, settings_path

if TYPE_CHECKING:
    from gatepost.model.settings import Settings

app: Final = usage.Commands()


@app.command()
def serve(ctx: usage.Context) -> None:
    """Run; logs to standard error. SIGTERM drains, SIGHUP reloads configuration and certificates."""
    # The file is found once: a reload reads the same one, wherever the process is by then.
    path = settings_path(ctx).absolute()
    settings = load_settings(ctx)
    from gatepost.net.certificate import CertificateError  # noqa: PLC0415
    from gatepost.net.transport import PortUnavailableError  # noqa: PLC0415
    from gatepost.node.prepare import CannotServeError  # noqa: PLC0415
    from gatepost.node.run import run  # noqa: PLC0415

    def reload_settings() -> "Settings | None":
        from gatepost.model.settings_fault import SettingsError  # noqa: PLC0415
        from gatepost.operate.configuration import load  # noqa: PLC0415

        try:
            return load(path, os.environ)
        except SettingsError as error:
            say_error(f"{error}\ngatepost: the former configuration stays in force")
            return None

    try:
        status = run(settings, reload_settings)
    except CertificateError as error:
        fail(f"{error.file}: {error.problem}", error.mend)
    except (CannotServeError, PortUnavailableError) as error:
        fail(str(error), 'see "gatepost check"')
    raise usage.Exit(status)
