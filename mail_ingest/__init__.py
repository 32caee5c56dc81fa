"""The mail Channel: accepting, parsing, composing and sending mail; knows no other Channel."""
