"""The floor every tael service stands on: server, store, errors, identity, durable work."""
