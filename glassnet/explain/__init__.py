"""Looking into a trained network: from a run folder to figures as data."""
