"""Models on disk and elsewhere: checkpoints, deltas, blends, rights, files of other tools, the Hub."""
