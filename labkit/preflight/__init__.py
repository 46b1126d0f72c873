"""Before hours on a GPU: whether it fits, how long it will take, and whether every part of it runs.

    preflight("07_lora_ner", lab)                    # in the full profile: a table, or an error that says what to do
    preflight("07_lora_ner", lab, dry_run=True)      # two steps of everything, at real size with random weights

`parts` says what each notebook trains, `footprint` counts a part without running it, `fit` holds it against a machine,
`rehearsal` runs two steps of it, and `check` is what notebooks call.
"""
