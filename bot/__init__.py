"""The digital assistant's dialogue and its channels; empty until the step that builds it."""
