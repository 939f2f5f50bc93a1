"""What `tools/power_loss` is made of: a recorded history of writes, disk images cut from it, what must hold in each."""
