"""Work on graphs: the order of reads and writes, pruned functions, standalone graphs."""
