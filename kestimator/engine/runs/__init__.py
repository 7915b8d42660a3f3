"""Running a program: batches, sessions, the device loop, predictions."""
