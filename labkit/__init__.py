"""The library under the course.

Read it in this order: profile, tasks, models, evaluation, training, report, batch, exercises.
"""

import warnings

# tqdm asks every notebook without ipywidgets to install them; plain bars are what executed notebooks keep.
warnings.filterwarnings("ignore", message="IProgress not found")
