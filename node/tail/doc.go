// Package tail brings what is appended to logs to the sessions that follow
// them.
//
// A [Hub] stands beside a replica. While that leads, edges open one stream each
// and register interest in logs; what apply appends to such a log is sent once
// to each edge that wants it. An [Edge] stands on every node. It keeps one
// stream for each shard it has interest in, to wherever the leader is, and hands
// what comes to its subscriptions, encoded once for all of them.
//
// A push is a hint, the log is the truth. So nothing here is ever waited for by
// apply, and whatever may have been missed is turned into one statement to the
// subscriber, "behind, up to offset n", who then reads the log:
//
//   - frames of a stream are numbered, and one goes out each second even when
//     there is nothing to say, so a drop shows within a second, the last one too;
//   - every push says (after, upto], so a hole in one log shows as well;
//   - after a new leader or a lost stream the edge registers everything anew, and
//     each answer carries the log's last offset;
//   - a session whose queue is full is told once the queue has drained.
//
// What is pushed says where it came from, as the command's header did: a door can
// spare a session the echo of what it has done itself. What is read from a log
// does not say it. A transient message is of no dialect; every door encodes it.
//
// Hubs also know who is there: a user whose log some edge follows is online, and of
// chat rooms the edges say which of their users follow. It is soft, like
// everything here: a new leader's hub learns it within a second, and says so.
//
// What always holds:
//
//   - An interest is registered first and then answered from the state, so
//     nothing falls between the answer and the first push.
//   - The conversation's shard decides who may follow: with each answer, and
//     from there by the log's own entries. An entry that removes a member ends his
//     subscription at that entry, also when it overtakes the answer.
//   - A subscriber is told (after, upto] without a gap, or "behind", or "ended".
package tail
