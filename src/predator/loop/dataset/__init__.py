"""Station 3's work: what a cycle's training set is made of, and how it is built and described."""
