"""What runs on the other side of the fence: standard library only, started without `raml` and without site-packages.

`start.main` shuts its process off from the machine, then `serve.serve` forks once for every test; the fork runs the
program (`become.become`), and its parent, which never runs a line of it, tells how it ended. No expected output is
ever sent here, so whatever a program does to this side, it can't make itself right.
"""
