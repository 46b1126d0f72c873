"""Files from a Hub that fails in every way: if a test here fails, a class is taught with half a dataset."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile

import pytest
from hub import Hub, served

from labkit.fetch.convert import convert
from labkit.fetch.transfer import checksum, checksum_of, inside, look_up, transfer
from labkit.hub import REPOSITORIES, probe
from labkit.profile import LabError
from labkit.tasks import sentiment

NAME, FILE = "mrpc", "mrpc/train-00000-of-00001.parquet"


def fetched(folder):
    of = REPOSITORIES[NAME]
    (file,) = look_up(of, [FILE])
    return transfer(of, file, folder)


def test_a_file_comes_whole_and_is_not_sent_twice(hub, hub_folder, tmp_path):
    path = fetched(tmp_path)
    assert path == tmp_path / FILE and path.read_bytes() == (served(hub_folder, NAME) / FILE).read_bytes()
    asked = len([request for request in hub.requests if "/resolve/" in request])
    fetched(tmp_path)
    assert len([request for request in hub.requests if "/resolve/" in request]) == asked
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".part"] == []
    assert all(REPOSITORIES[NAME].revision in request for request in hub.requests if "/resolve/" in request)


def test_checksums_are_those_that_git_and_lfs_know(tmp_path):
    """So that they can be compared with what the Hub's pages show."""
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    assert checksum(path) == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert checksum(path, like="0" * 40, size=6) == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object


def status(code: int, error: str = ""):
    def fault(handler) -> bool:
        if "/resolve/" in handler.path:
            handler._reply(code, b"no", {"X-Error-Code": error, "X-Error-Message": error} if error else {})
            return True
        return False

    return fault


def cut_off(handler) -> bool:
    """Every answer ends after a hundred bytes, and the connection with it."""
    if "/resolve/" not in handler.path or handler.command != "GET":
        return False
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b"x" * 100)
    handler.close_connection = True
    return True


def altered(handler) -> bool:
    """As many bytes as announced, but one of them another."""
    if "/resolve/" not in handler.path or handler.command != "GET":
        return False
    data = bytearray((served(handler.hub.folder, NAME) / FILE).read_bytes())
    data[len(data) // 2] ^= 1
    handler._reply(200, bytes(data), {})
    return True


def silent(handler) -> bool:
    """It takes the question and never answers."""
    if "/resolve/" in handler.path:
        threading.Event().wait(2)
        handler.close_connection = True
        return True
    return False


FAULTS = {
    "no such revision": (status(404, "RevisionNotFound"), "put it into labkit/hub.py"),
    "no such file": (status(404, "EntryNotFound"), "change labkit/hub.py"),
    "no such repository": (status(404, "RepoNotFound"), "renamed, or private"),
    "a licence to accept": (status(403, "GatedRepo"), "accept the licence"),
    "no token": (status(401), "HF_TOKEN"),
    "forbidden": (status(403), "HF_TOKEN"),
    "too many requests": (status(429), "wait some minutes"),
    "server error": (status(500), "run again later"),
    "bad gateway": (status(502), "run again later"),
    "overloaded": (status(503), "run again later"),
    "cut off": (cut_off, "run again"),
    "another checksum": (altered, "another checksum"),
    "silent": (silent, "check the network"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_failure_says_what_to_do_and_leaves_nothing_that_looks_whole(
    hub, hub_folder, tmp_path, monkeypatch, name
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.fault, advice = FAULTS[name]
    with pytest.raises(LabError, match=advice) as caught:
        fetched(tmp_path)
    assert FILE in str(caught.value) and "hf_" not in str(caught.value)
    assert not (tmp_path / FILE).exists()
    hub.fault = lambda handler: False
    assert fetched(tmp_path).read_bytes() == (served(hub_folder, NAME) / FILE).read_bytes()


def test_a_server_that_forgets_to_resume_sends_all_of_it(hub, hub_folder, tmp_path):
    """Some mirrors answer a Range with the whole file; appended to the part it would be garbage."""
    whole = (served(hub_folder, NAME) / FILE).read_bytes()
    (file,) = look_up(REPOSITORIES[NAME], [FILE])
    part = tmp_path / f"{FILE}.{checksum_of(file)[:16]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(whole[:700])

    def forgets(handler) -> bool:
        if "/resolve/" in handler.path:
            handler._reply(200, whole, {})
            return True
        return False

    hub.fault = forgets
    assert fetched(tmp_path).read_bytes() == whole
    assert any("bytes=700-" in request for request in hub.requests)


@pytest.mark.parametrize("left", [b"x" * 700, b"x" * 10_000_000, b""])
def test_a_part_that_is_garbage_is_found_out(hub, hub_folder, tmp_path, left):
    """Of the wrong bytes, or of too many: either now or at the next call the file is right."""
    (file,) = look_up(REPOSITORIES[NAME], [FILE])
    part = tmp_path / f"{FILE}.{checksum_of(file)[:16]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    try:
        path = fetched(tmp_path)
    except LabError as error:
        assert "another checksum" in str(error)
        path = fetched(tmp_path)
    assert path.read_bytes() == (served(hub_folder, NAME) / FILE).read_bytes()


CHILD = """
import sys
from pathlib import Path
from labkit.fetch.transfer import look_up, transfer
from huggingface_hub import constants
from labkit.hub import Repository
constants.DOWNLOAD_CHUNK_SIZE = 1 << 12  # of 10 MB: what is lost at most
of = Repository("some/where", "main", "none")
(file,) = look_up(of, ["large.bin"])
print(transfer(of, file, Path(sys.argv[1])))
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_byte_it_goes_on_from_there(tmp_path, seed):
    """A real process, killed by SIGKILL while the server holds the rest back; the next asks for the rest alone."""
    data = random.Random(seed).randbytes(400_000)
    large = tmp_path / "hub" / "datasets" / "some" / "where" / "large.bin"
    large.parent.mkdir(parents=True)
    large.write_bytes(data)
    held = random.Random(seed).randrange(1, len(data))

    def hold_back(handler) -> bool:
        if handler.command != "GET" or "/resolve/" not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:held])
        handler.wfile.flush()
        threading.Event().wait(20)
        return True

    with Hub(tmp_path / "hub") as hub:
        hub.fault = hold_back
        command, env = [sys.executable, "-c", CHILD, str(tmp_path / "out")], hub.env(tmp_path / "home")
        child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        until(lambda: any("GET" in request and "/resolve/" in request for request in hub.requests))
        time.sleep(0.3)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert not (tmp_path / "out" / "large.bin").exists()
        (part,) = (tmp_path / "out").glob("*.part")
        begun = part.stat().st_size
        assert held - (1 << 14) < begun <= held
        hub.fault, hub.requests = lambda handler: False, []
        subprocess.run(command, env=env, check=True, capture_output=True)
    assert (tmp_path / "out" / "large.bin").read_bytes() == data
    assert any(f"bytes={begun}-" in request for request in hub.requests)


def until(true, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "."])
def test_no_name_from_the_network_leads_out_of_the_folder(tmp_path, name):
    with pytest.raises(LabError, match="leads out of"):
        inside(tmp_path, name)
    assert inside(tmp_path, "a/../b") == tmp_path / "b"


def test_no_link_leads_out_of_the_folder_either(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    with pytest.raises(LabError, match="leads out of"):
        inside(tmp_path / "in", "link/evil")


def test_an_archive_has_no_say_in_where_it_is_unpacked(tmp_path):
    """Members that lead out of the folder, and links, are passed over: what is read is asked for by its name."""
    path = tmp_path / "phrases.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in sentiment.MEMBERS.values():
            archive.writestr(f"{sentiment.ARCHIVE_FOLDER}/{member}", "Profit rose .@positive\n")
        for evil in ("../evil", f"{sentiment.ARCHIVE_FOLDER}/../../evil", str(tmp_path / "evil")):
            archive.writestr(evil, "evil")
        link = zipfile.ZipInfo(f"{sentiment.ARCHIVE_FOLDER}/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    written = convert("financial_phrasebank", {sentiment.ARCHIVE: path}, tmp_path / "in" / "here", "laptop")
    assert {*written, path} == {found for found in tmp_path.rglob("*") if not found.is_dir()}


@pytest.fixture
def mute():
    """The address of somebody who listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "mute", "http://no-such-host.invalid", "nonsense"])
def test_without_a_hub_it_says_so_within_three_seconds(monkeypatch, mute, address):
    from huggingface_hub import constants

    monkeypatch.setenv("no_proxy", "*")
    address = mute if address == "mute" else address
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    began = time.monotonic()
    with pytest.raises(LabError, match=r"does not answer .*SOURCE=embedded"):
        probe()
    assert time.monotonic() - began < 3


def test_a_silent_name_server_does_not_hold_it_up(monkeypatch):
    """No time limit of a socket covers the look-up of its name."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("labkit.hub._ask", lambda address: threading.Event().wait(20))
    began = time.monotonic()
    with pytest.raises(LabError, match=r"no answer in 2\.5 seconds"):
        probe()
    assert time.monotonic() - began < 3
