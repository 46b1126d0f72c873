"""How good is it? Losses and their units, and generated text. A scorer never trains."""
