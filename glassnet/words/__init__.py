"""What tasks that read or write texts are put together from."""
