"""Training objectives of the student: one file each, registered in `student_loss_weights`."""
