"""Fetch once, where there is a network; teach a class where there is none.

    python -m labkit.fetch data             # on a machine with a network
    export LABKIT_DATA=data                 # where the folder was carried to
    python run_all.py --source local

What comes is a folder in the layout that SOURCE=local reads, made from the Hub's files at pinned revisions:

- `transfer`: one file, resumed where it broke off, and compared with the checksum that the Hub announces;
- `convert`: from the Hub's formats to those that `local` reads;
- `manifest`: what was fetched, so that `--verify` can tell whether it is still whole.
"""
