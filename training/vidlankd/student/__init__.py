"""Training of the student: the teacher's states, its task, and CRD's queue."""
