"""Collections: cases, the contact gate, promises, agencies, write-off and recovery."""
