"""Sources of data (images, tables, named sets) and what turns them into tensors; knows no task."""
