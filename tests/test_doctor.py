"""The doctor: its exit code is what set-up scripts rely on, its remedies what people do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from labkit import doctor
from labkit.profile import PROFILES


def run_doctor(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "labkit.doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200"} | env,
    )


def find(checks, name):
    (check,) = [check for check in checks if check.name == name]
    return check


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(doctor, "offline_by_choice", lambda: True)


def test_the_command_is_for_people_and_for_programs():
    shown, plain = run_doctor(), run_doctor("--json")
    checks = [doctor.Check(**check) for check in json.loads(plain.stdout)]
    names = [check.name for check in checks]
    assert names[-3:] == [f"profile {name}" for name in PROFILES]
    assert {"Python", "torch", "packages", "Jupyter kernel", "processor", "memory", "GPUs"} < set(names)
    assert {"free disk", "network", "LABKIT_DATA"} < set(names)
    assert all(name in shown.stdout for name in names)
    assert "offline by choice" in find(checks, "network").value
    wanted = 0 if find(checks, "profile laptop").ok is not False else 1
    assert shown.returncode == plain.returncode == wanted
    assert all(check.remedy for check in checks if check.ok is False)


def test_a_kernel_of_another_python_is_found_in_a_real_process(tmp_path):
    """The commonest broken set-up: cells run where labkit isn't installed."""
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [str(tmp_path / "elsewhere" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    done = run_doctor(JUPYTER_PATH=str(tmp_path))
    assert done.returncode == 1
    assert "python3 starts another Python" in done.stdout
    assert "python -m ipykernel install --sys-prefix --name python3" in done.stdout


def test_a_missing_kernel_stops_every_profile(monkeypatch, offline, capsys):
    monkeypatch.setattr(doctor, "kernel_python", lambda: None)
    assert doctor.main([]) == 1
    assert "ipykernel install" in capsys.readouterr().out
    checks = doctor.examine()
    assert find(checks, "profile smoke").ok is False
    assert "Jupyter kernel" in find(checks, "profile laptop").remedy


@pytest.fixture
def big(monkeypatch, offline):
    """A machine that can run the laptop profile, whatever this one is."""
    monkeypatch.setattr(doctor, "disk_free_gb", lambda: 500.0)
    monkeypatch.setattr(doctor.provenance, "memory_gb", lambda: 8.0)
    monkeypatch.setattr(doctor.profile, "cpu_cores", lambda: 2)
    monkeypatch.setattr(doctor, "kernel_python", lambda: sys.executable)
    monkeypatch.setattr(doctor.provenance, "gpus", lambda: [])


def test_the_machine_the_course_is_made_for_is_ready_but_not_for_the_full_scale(big):
    checks = doctor.examine()
    assert doctor.ready(checks)
    full = find(checks, "profile full")
    assert full.ok is None  # not a fault of a laptop
    assert all(lack in full.remedy for lack in ("memory: needs 64 GB", "GPU", "network"))


def test_a_full_disk_is_told_with_its_remedy(big, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "disk_free_gb", lambda: 4.0)
    assert doctor.main([]) == 1
    assert "LABKIT_CACHE" in capsys.readouterr().out
    checks = doctor.examine()
    assert find(checks, "profile smoke").ok is True
    assert "disk: needs 5 GB free, has 4.0" in find(checks, "profile laptop").remedy


def test_too_little_memory_is_told(big, monkeypatch):
    monkeypatch.setattr(doctor.provenance, "memory_gb", lambda: 4.0)
    assert not doctor.ready(doctor.examine())


def test_one_core_is_slow_not_impossible(big, monkeypatch):
    monkeypatch.setattr(doctor.profile, "cpu_cores", lambda: 1)
    checks = doctor.examine()
    assert doctor.ready(checks)
    assert "runs slowly" in find(checks, "profile laptop").value


def test_a_missing_package_stops_and_another_version_does_not(big, monkeypatch):
    real = doctor.provenance.version
    monkeypatch.setattr(doctor.provenance, "version", lambda name: None if name == "tiktoken" else real(name))
    checks = doctor.examine()
    assert "missing: tiktoken" in find(checks, "packages").value and not doctor.ready(checks)
    monkeypatch.setattr(doctor.provenance, "version", lambda name: "0.0.1")
    checks = doctor.examine()
    assert "torch 0.0.1 (tested with " in find(checks, "packages").value and doctor.ready(checks)


def test_a_build_suffix_is_no_other_version(big, monkeypatch):
    pinned = doctor.pins()
    monkeypatch.setattr(doctor.provenance, "version", lambda name: pinned[name] + "+cpu")
    assert find(doctor.examine(), "packages").ok is True


def test_a_data_folder_that_is_not_there_is_told(big, monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "nowhere"))
    assert find(doctor.examine(), "LABKIT_DATA").ok is False
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    assert find(doctor.examine(), "LABKIT_DATA").ok is True


def test_an_empty_address_of_the_hub_is_told():
    """`HF_ENDPOINT=` (as a Makefile may export it) breaks every download with a baffling message."""
    done = run_doctor("--json", HF_ENDPOINT="", HF_HUB_OFFLINE="0")
    check = find([doctor.Check(**check) for check in json.loads(done.stdout)], "network")
    assert check.ok is False and "unset HF_ENDPOINT" in check.remedy


@pytest.mark.parametrize("address", ["https://me:pw@host", "me:pw@host", "https://me:pw/x@host"])
def test_a_password_in_the_hubs_address_is_told_and_not_shown(big, monkeypatch, address):
    """The table is the first thing that a reader in trouble sends to somebody else."""
    monkeypatch.setattr(doctor, "hub_address", lambda: address)
    monkeypatch.setattr(doctor, "offline_by_choice", lambda: False)
    checks = doctor.examine()
    assert find(checks, "network").ok is False and "HF_TOKEN" in find(checks, "network").remedy
    assert "pw" not in checks._repr_html_()


def test_online_connects_to_the_host_it_is_given_and_a_closed_port_is_offline():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert doctor.online(address)
    assert not doctor.online(address)
    assert not doctor.online("")


def test_a_name_server_that_never_answers_does_not_hang(monkeypatch):
    """Looking up a name has no time limit, so without the thread the doctor hangs in a train."""
    answered = []

    def slow(*arguments, **options):
        time.sleep(5)
        answered.append(True)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", slow)
    assert not doctor.online("https://example.org", seconds=0.1)
    assert not answered


def test_in_a_notebook_it_is_a_table_with_its_text_escaped():
    html = doctor.Checks([doctor.Check("a", "<b>", False, "x & y")])._repr_html_()
    assert "&lt;b&gt;" in html and "x &amp; y" in html and html.startswith("<table>")
