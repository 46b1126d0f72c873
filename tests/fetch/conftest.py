"""A Hub with every repository of the course, which this process's library asks."""

from __future__ import annotations

import pytest
from hub import Hub, point_at
from hub_repositories import write_all


@pytest.fixture(scope="session")
def hub_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    write_all(folder)
    return folder


@pytest.fixture
def hub(hub_folder, tmp_path, monkeypatch):
    with Hub(hub_folder) as hub:
        point_at(hub.url, tmp_path / "home", monkeypatch)
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between two attempts
        yield hub
