package shard

// RestartRaft does what is done about a transfer that does not end.
func RestartRaft(r *Replica) { signal(r.stuck) }
