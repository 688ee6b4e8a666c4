"""What directories need at the start: a secret that can be sent."""

from pathlib import Path

import pytest

from gatepost.identity.foreign_build import check_means
from gatepost.model.settings_directory import DirectorySettings


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), (" \n", "empty"), ("a\nb", "more than one line"), ("a\x01", "control")],
)
def test_a_secret_that_cannot_be_sent_is_refused_at_the_start(
    text: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    web = DirectorySettings(name="web", kind="http", url="https://id.test/login", secret_file=file)
    with pytest.raises(OSError, match=words) as raised:
        check_means([web])
    assert raised.value.filename == str(file)
    file.write_text("s3cret ü\n")
    check_means([web])
