"""The library under the course: read it in the order profile, tasks, models, evaluation, training, zoo, report, batch."""
