"""The domain: Conversations, Tickets, timeline and outbox; imports no web, mail or job library."""
