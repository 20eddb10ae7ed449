package shard

// RestartRaft does what is done about a transfer that does not end.
func (r *Replica) RestartRaft() { signal(r.stuck) }
