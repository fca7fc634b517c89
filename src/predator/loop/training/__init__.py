"""Station 4's work: jobs that learn in processes of their own, and which candidate is submitted."""
