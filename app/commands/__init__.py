"""The commands of `sportello`, one noun a file; each imports what is heavy when it runs."""
