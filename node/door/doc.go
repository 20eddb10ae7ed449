// Package door is what the doors of other dialects need of their node: how to
// change what is stored, to ask, to follow logs and to say who is there.
//
// A door translates a dialect into commands of [state], questions of [ask] and
// subscriptions of [tail], and holds no truth of its own: what it keeps in
// memory can be lost with the node, and is found again by asking.
package door
