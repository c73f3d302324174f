"""The ledger: books, accounts, a journal that chains its own digests, posting rules, closing, proof."""
