"""How it learns: the loop, schedules, checkpoints, processes and their launcher."""
