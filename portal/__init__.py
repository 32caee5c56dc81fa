"""The web Channel: pages, sign-in and live updates; holds no domain rule and no query."""
