"""The diagnostic program on a customer's PC; empty until the step that builds it."""
