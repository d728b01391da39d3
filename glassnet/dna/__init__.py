"""What tasks that read DNA are put together from."""
