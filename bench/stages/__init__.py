"""What `make bench-life` measures, a module for each kind of thing that happens to an index."""
