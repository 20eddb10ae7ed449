// Package columns is an index of a shard's conversations by what searches ask for:
// the values of columns, and the order of times.
//
// It is in memory only, and holds no truth. Which columns it has is what searches
// ask for: the first one that does goes through all conversations, and starts the
// index of the column; later ones look only at those that it names, which they read
// from the shard's state and hold against their query. What is changed meanwhile is
// noted as it is applied and looked at again by the next search, so a search finds
// what was there when it began.
//
// An index that would grow too large, or that changes faster than it is asked, is
// given up: searches then go through all conversations, as they do without one.
package columns
