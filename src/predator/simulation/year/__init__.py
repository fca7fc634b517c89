"""A year of the loop on a virtual clock: a made-up world, the real deciders, and the truth."""
