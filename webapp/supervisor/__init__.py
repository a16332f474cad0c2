"""Starting, watching and stopping the processes of one installation: `syncline up`.

Nothing here imports Flask or a room: the supervisor stays small, and what it watches runs in processes of its own.
"""
