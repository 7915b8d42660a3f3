"""Random ops and seeds: their state belongs to the program, as it belonged to a TF1 session."""
