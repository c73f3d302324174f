"""The ledger's revisions; the runtime runs them at start."""
