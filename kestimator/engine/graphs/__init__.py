"""Work on graphs: the order of writes, pruned functions, graphs that stand alone."""
