"""What speech recognition is put together from: its loss, its decoding, its errors."""
