"""A checkpoint for others: what to write (`job`), and the process that writes it (`worker`)."""
