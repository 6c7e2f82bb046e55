"""How alike texts are: by shingles, by embeddings, by equations. No verdicts."""
