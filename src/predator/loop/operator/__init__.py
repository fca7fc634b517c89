"""What people do with the loop, a noun a file; the admin API and the command line share it."""
