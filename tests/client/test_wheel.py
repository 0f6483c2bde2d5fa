"""The wheel, as an application installs it: alone in an empty environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from schemas.codec import RegistryCodec, SingleObjectCodec
from schemas.ids import message_id_by_key
from schemas.loading import file_stems
from schemas.records import MessageRequest
from schemas.registry import Registry
from schemas.releasing import register_all
from schemas.topics import request_topic
from tests.support.kafka import Kafka

pytestmark = pytest.mark.timeout(600)  # it downloads packages

_ROOT = Path(__file__).parents[2]
_SEND = textwrap.dedent(
    """
    import asyncio, json, sys
    from commlayer_client import Publisher, SyncPublisher

    app, bootstrap, registry = sys.argv[1:]
    settings = {"registry_url": registry} if registry else {}

    async def send():
        async with Publisher(app, bootstrap, **settings) as publisher:
            return await publisher.send(to="+1 415 555 0123", category="otp", body="async", idempotency_key="1")

    receipt = asyncio.run(send())
    with SyncPublisher(app, bootstrap, default_region="US", **settings) as publisher:
        publisher.send(to="(415) 555-0123", category="otp", body="sync", idempotency_key="2")
    print(json.dumps({"message_id": receipt.message_id, "modules": sorted(sys.modules)}))
    """
)


def _build(source: Path, folder: Path) -> Path:
    # Without isolation: the builder is among the development requirements.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(_ROOT / "client", tmp_path_factory.mktemp("wheel"))


class _Environment:
    """A virtual environment of its own, and a folder to run in that holds none of our code."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        self.folder = folder
        self._python = folder / "venv" / "bin" / "python"

    def run(self, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        ran = subprocess.run(
            [self._python, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def install(self, *packages: str) -> None:
        self.run("-m", "pip", "install", "--quiet", *packages)

    def installed(self) -> set[str]:
        found = json.loads(self.run("-m", "pip", "list", "--format=json"))
        return {package["name"].lower().replace("_", "-") for package in found}


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> _Environment:
    environment = _Environment(tmp_path_factory.mktemp("empty"))
    environment.install(str(wheel))
    return environment


def _app(kafka: Kafka) -> str:
    app = kafka.unique("app")
    kafka.create_topics({request_topic(app): 4})
    return app


def test_the_wheel_holds_the_client_and_the_contracts_and_nothing_else(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in names} == {"commlayer_client"}
    assert "commlayer_client/py.typed" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    for stem in file_stems().values():
        assert f"commlayer_client/schemas/avro/{stem}.avsc" in names
        assert f"commlayer_client/schemas/released/{stem}/v1.avsc" in names


def test_nothing_but_its_three_dependencies_comes_with_it(environment: _Environment) -> None:
    assert environment.installed() - {"pip", "setuptools", "wheel"} == {
        "commlayer-client",
        "confluent-kafka",
        "fastavro",
        "phonenumbers",
    }


def test_no_generic_name_lands_in_the_applications_environment(environment: _Environment) -> None:
    listing = (
        "import pathlib, sysconfig; print(*[p.name for p in pathlib.Path(sysconfig.get_path('purelib')).iterdir()])"
    )
    names = {name for name in environment.run("-c", listing).split() if ".dist-info" not in name}
    assert "commlayer_client" in names
    assert not names & {"schemas", "streams", "connectors", "commlayer", "twin"}


def test_an_application_publishes_and_the_house_reads(environment: _Environment, kafka: Kafka) -> None:
    app = _app(kafka)
    told = json.loads(environment.run("-c", _SEND, app, kafka.bootstrap, ""))
    assert told["message_id"] == message_id_by_key(app, "+14155550123", "1")
    assert "commlayer_client.schemas.codec" in told["modules"]
    assert "schemas" not in told["modules"]
    codec = SingleObjectCodec()
    bodies = []
    for record in kafka.consume_all(request_topic(app)):
        assert record.value is not None
        request = codec.decode(record.value)
        assert isinstance(request, MessageRequest)
        assert request.recipient == "+14155550123"
        bodies.append(request.content.body)
    assert bodies == ["async", "sync"]


def test_a_registry_without_its_extra_says_what_to_install(environment: _Environment) -> None:
    asked = "from commlayer_client import Publisher; Publisher('shop', 'kafka:9092', registry_url='http://registry')"
    with pytest.raises(AssertionError, match=r"pip install 'commlayer-client\[registry\]'"):
        environment.run("-c", asked)


def test_with_its_extra_it_publishes_through_a_registry(
    wheel: Path, kafka: Kafka, registry_url: str, tmp_path: Path
) -> None:
    registry = Registry(registry_url)
    ids = register_all(registry)
    app = _app(kafka)
    environment = _Environment(tmp_path)
    environment.install(f"{wheel}[registry]")
    environment.run("-c", _SEND, app, kafka.bootstrap, registry_url)
    codec = RegistryCodec(registry)
    codec.load(ids["commlayer.MessageRequest"])
    for record in kafka.consume_all(request_topic(app)):
        assert record.value is not None
        assert record.value[:1] == b"\x00"
        assert isinstance(codec.decode(record.value), MessageRequest)


def test_commlayers_own_wheel_holds_the_client_beside_the_contracts_once(tmp_path: Path) -> None:
    names = zipfile.ZipFile(_build(_ROOT, tmp_path)).namelist()
    assert "commlayer_client/publisher.py" in names
    assert [name for name in names if name.endswith("codec.py")] == ["schemas/codec.py"]
