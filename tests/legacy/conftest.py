"""The programs are of other times, and run in processes of their own."""

collect_ignore_glob = ["programs/*"]
