"""What an unfinished training has come to, on disk: tensors and JSON, from which it goes on to the same result."""
