"""What files are, read from their bytes: signatures, containers, and where the picture lies that people see.

A leaf: it imports no other package of ours and no decoder, and never inflates or decodes anything. Intake and detector
both ask here, so that they agree.
"""
