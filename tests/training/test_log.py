"""The log is the experiment: figures are drawn from it, also after a kill."""

from __future__ import annotations

from labkit.training.log import Log, read_log


def row(step: int) -> dict:
    return {
        "step": step,
        "loss": 5.0 - step,
        "lr": 1e-3,
        "tokens": 100 * (step + 1),
        "seconds": 0.5 * (step + 1),
    }


def test_rows_are_on_disk_as_soon_as_they_are_known(tmp_path):
    log = Log(tmp_path / "log.jsonl", 0, 4, True, print)
    log.write(row(0))
    assert read_log(tmp_path / "log.jsonl") == log.rows == [row(0)]


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 0, "loss": 5.0}\n{"step": 1, "lo')
    assert read_log(path) == [{"step": 0, "loss": 5.0}]


def test_resuming_forgets_what_it_will_do_again_and_keeps_the_clock(tmp_path):
    path = tmp_path / "log.jsonl"
    log = Log(path, 0, 9, True, print)
    for step in range(5):
        log.write(row(step))
    resumed = Log(path, 3, 9, True, print)
    assert [r["step"] for r in resumed.rows] == [0, 1, 2] == [r["step"] for r in read_log(path)]
    assert resumed.seconds == 1.5


def test_other_ranks_stay_silent(tmp_path):
    said: list[str] = []
    log = Log(tmp_path / "log.jsonl", 0, 0, False, said.append)
    log.write(row(0))
    assert not said and not (tmp_path / "log.jsonl").exists()


def test_the_last_line_tells_losses_and_speed(tmp_path):
    said: list[str] = []
    log = Log(tmp_path / "log.jsonl", 0, 1, True, said.append)
    log.write(row(0))
    log.write({"step": 1, "val_loss": 4.5, "val_bits_per_byte": 1.5})
    assert said == ["step 1 of 1  loss 5.000  200 tokens/s  validation 4.500 (1.500 bits/byte)"]
