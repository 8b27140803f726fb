"""Training the student: its objectives, the teacher's states, its task."""
