"""The graphs in which model_fns and input_fns are traced, and the modes in which ops run."""
