"""The `unmask` command: the composition root, one verb a process or a chore.

It reads the settings, connects the engines and hands plain values down. It judges nothing itself.
"""
