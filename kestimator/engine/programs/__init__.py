"""Programs: a model_fn traced once into a graph, for one mode and one input spec."""
