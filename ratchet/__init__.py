"""The shared core: what every stage is made of. No torch, no vLLM, no Prefect, and no stage.

Flat here is the vocabulary: rows, configs, errors, progress, the policy, a user's dotted paths,
where the code lies. The rooms, from the ground up: `store` and `processes`; `generation` and
`verifier`; `texts`; `problems`.
"""
