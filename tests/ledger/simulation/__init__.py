"""Random workloads at a running ledger, with faults, held against an oracle in memory."""
