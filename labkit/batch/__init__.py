"""What `run_all.py` does: plan the notebooks, run each in a process of its own, resume, report."""
