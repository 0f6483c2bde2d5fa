"""Releasing a version of the schemas as a snapshot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from schemas.errors import IncompatibleSchema
from schemas.loading import current
from schemas.releasing import write_release

_RELEASED = Path(__file__).parents[2] / "schemas" / "released"


@pytest.fixture
def released(tmp_path: Path) -> Path:
    return Path(shutil.copytree(_RELEASED, tmp_path / "released"))


def test_the_first_release_writes_every_schema(tmp_path: Path) -> None:
    written = write_release(tmp_path)
    assert len(written) == len(current())
    assert json.loads((tmp_path / "attempt" / "v1.avsc").read_text()) == current()["commlayer.Attempt"].definition
    assert write_release(tmp_path) == []


def test_only_what_changed_since_the_last_release_is_written(released: Path) -> None:
    write_release(released)
    newest = max((released / "control").iterdir(), key=lambda path: int(path.stem[1:]))
    last = int(newest.stem[1:])
    earlier = json.loads(newest.read_text())
    earlier["fields"] = [field for field in earlier["fields"] if field["name"] != "until"]
    newest.write_text(json.dumps(earlier))
    assert write_release(released) == [released / "control" / f"v{last + 1}.avsc"]
    assert json.loads(newest.read_text()) == earlier


def test_nothing_is_written_while_an_earlier_version_cannot_be_read(released: Path) -> None:
    file = released / "control" / "v1.avsc"
    earlier = json.loads(file.read_text())
    earlier["fields"] = [field for field in earlier["fields"] if field["name"] != "subject"]
    file.write_text(json.dumps(earlier))
    shutil.rmtree(released / "status_update")
    with pytest.raises(IncompatibleSchema, match="subject"):
        write_release(released)
    assert not (released / "status_update").exists()
