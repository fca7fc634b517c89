"""Back ends of the GitOps port: a bare git repository, and memory."""
