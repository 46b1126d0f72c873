"""What comes from the Hub: if it fails, SOURCE=hub needs a network that it doesn't need, or gives no advice."""

from __future__ import annotations

import errno

import pytest
from hub import Hub, point_at, served

from labkit import hub as course
from labkit.hub import REPOSITORIES, advice, download
from labkit.profile import LabError


@pytest.fixture
def served_file(tmp_path):
    path = served(tmp_path / "hub", "mrpc") / "a" / "file.txt"
    path.parent.mkdir(parents=True)
    path.write_text("rows")
    return tmp_path / "hub"


def test_what_was_cached_needs_no_network(served_file, tmp_path, monkeypatch):
    with Hub(served_file) as hub:
        point_at(hub.url, tmp_path / "home", monkeypatch)
        assert download("mrpc", "a/file.txt").read_text() == "rows"
    point_at("http://127.0.0.1:9", tmp_path / "home", monkeypatch)
    assert download("mrpc", "a/file.txt").read_text() == "rows"
    with pytest.raises(LabError, match="does not answer"):
        download("mrpc", "another.txt")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert download("mrpc", "a/file.txt").read_text() == "rows"
    with pytest.raises(LabError, match="HF_HUB_OFFLINE is set"):
        download("mrpc", "another.txt")


def test_a_token_is_sent_to_the_hub_and_said_nowhere(served_file, tmp_path, monkeypatch, capsys):
    """Errors end up in notebooks, logs and pages that are handed on."""
    token = "hf_" + "s" * 30
    monkeypatch.setenv("HF_TOKEN", token)
    seen = []
    with Hub(served_file) as hub:
        point_at(hub.url, tmp_path / "home", monkeypatch)
        hub.fault = lambda handler: bool(seen.append(handler.headers.get("Authorization")))
        with pytest.raises(LabError) as caught:
            download("mrpc", "missing.txt")
    assert f"Bearer {token}" in seen
    assert token not in str(caught.value) and token not in "".join(capsys.readouterr())


def test_an_address_with_a_password_is_refused_unquoted(tmp_path, monkeypatch):
    """The libraries would log it, with every attempt."""
    point_at("http://me:pw@127.0.0.1:9", tmp_path, monkeypatch)
    for ask in (course.probe, lambda: download("mrpc", "a/file.txt")):
        with pytest.raises(LabError, match="HF_ENDPOINT holds a name or a password") as caught:
            ask()
        assert "pw" not in str(caught.value)


def test_a_misspelt_proxy_is_told_without_its_password(tmp_path, monkeypatch, capfd):
    """urllib quotes all of it. It raises an error of another kind for a port that is no number."""
    point_at("http://nowhere.invalid", tmp_path, monkeypatch)
    monkeypatch.setenv("http_proxy", "http:/me:pw@127.0.0.1:9")
    monkeypatch.setattr("urllib.request._opener", None)  # which knows the proxies of its first use
    with pytest.raises(LabError, match=r"ValueError.*HTTPS_PROXY") as caught:
        course.probe()
    assert "pw" not in str(caught.value)
    monkeypatch.delenv("http_proxy")
    monkeypatch.setattr("urllib.request._opener", None)
    point_at("http://127.0.0.1:port", tmp_path, monkeypatch)
    with pytest.raises(LabError, match="InvalidURL"):
        course.probe()
    assert not any(capfd.readouterr()), "a thread died"


def test_a_name_that_nobody_knows_is_refused():
    with pytest.raises(LabError, match="did you mean 'mrpc'"):
        course.repository("mrcp")


def test_every_repository_is_pinned_and_says_its_licence():
    for name, of in REPOSITORIES.items():
        assert len(of.revision) == 40 and int(of.revision, 16) and of.licence and of.kind in ("dataset", "model"), name


def test_advice_looks_at_the_cause_and_knows_a_full_disk():
    error = OSError("wrapped")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "free some space" in advice(error) and "check the network" in advice(ValueError())
