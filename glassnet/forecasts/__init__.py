"""What forecasting is put together from: intervals, baselines, figures, views."""
