"""The simulators' revisions; the runtime runs them at start."""
