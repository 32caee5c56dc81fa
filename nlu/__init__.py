"""Understanding of Italian text, knowing nobody; empty until the step that builds it."""
