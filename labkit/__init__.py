"""The library under the course: read it in the order profile, tasks, models, evaluation, training, zoo, report, batch."""

import warnings

# tqdm asks every notebook without ipywidgets to install them; its plain bars are what the executed notebooks keep.
warnings.filterwarnings("ignore", message="IProgress not found")
