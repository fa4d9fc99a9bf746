"""The benchmark of tables: what is learnt, by whom, and how the results are counted."""
