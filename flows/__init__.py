"""The flow that joins the stages, and the command line. Only joins: what is decided lives below.

`improve` is the flow, `cli` the command line; `commands` has a file for each larger subcommand,
`reports` says what happened. Neither torch nor vLLM is imported in this process.
"""
