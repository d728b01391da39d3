"""What tasks that read signals and sounds are put together from."""
