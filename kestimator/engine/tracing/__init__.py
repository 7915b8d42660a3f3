"""What TensorFlow is told while a model_fn or an input_fn is traced, and how it runs ops."""
