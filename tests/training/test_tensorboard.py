"""What TensorBoard shows must be what was logged."""

from __future__ import annotations

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from labkit.training.tensorboard import log_rows

ROWS = [
    {"step": 1, "loss": 2.5, "says": "no number"},
    {"step": 2, "loss": 2.0, "val_loss": 2.25},
    {"step": 5, "loss": 1},
]


def curves(folder) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder)).Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_the_file_holds_the_rows_and_a_repeated_run_is_not_drawn_twice(tmp_path):
    for rows in (ROWS[:2], ROWS):
        log_rows(rows, tmp_path / "run")
    assert curves(tmp_path / "run") == {"loss": [(1, 2.5), (2, 2.0), (5, 1.0)], "val_loss": [(2, 2.25)]}
    assert len(list((tmp_path / "run").iterdir())) == 1
