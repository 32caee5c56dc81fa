"""Handlers of the portal's and the console's pages: they fetch, present and hand over to verbs."""
