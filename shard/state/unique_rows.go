package state

import (
	"cmp"
	"crypto/sha256"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// maxCandidates is how many conversations the entry of one member set keeps.
const maxCandidates = 4

// A uniqueRow is the entry of one member set: which conversations may be the
// one that has exactly these members, oldest first. It only proposes: each
// conversation's own members decide.
//
//	| version 1 | generation | n | n x ( id | created ) |
type uniqueRow struct {
	Generation uint64 // ids this entry has made
	Candidates []Candidate
}

// A Candidate is a conversation that may have exactly the members asked for.
type Candidate struct {
	Conversation wire.ConversationID
	Created      int64 // milliseconds; candidates are tried oldest first
}

func (u uniqueRow) encode(dst []byte) []byte {
	dst = append(dst, userVersion)
	dst = bin.AppendUvarint(dst, u.Generation)
	return appendCandidates(dst, u.Candidates)
}

func decodeUniqueRow(b []byte) (uniqueRow, error) {
	r := openRow(b)
	u := uniqueRow{Generation: r.Uvarint(), Candidates: readCandidates(r)}
	return u, closeRow(r, "unique")
}

func appendCandidates(dst []byte, cs []Candidate) []byte {
	dst = bin.AppendUvarint(dst, uint64(len(cs)))
	for _, c := range cs {
		dst = bin.AppendString(dst, c.Conversation)
		dst = bin.AppendVarint(dst, c.Created)
	}
	return dst
}

func readCandidates(r *bin.Reader) []Candidate {
	n := r.Count(maxCandidates)
	if n == 0 {
		return nil
	}
	cs := make([]Candidate, 0, n)
	for range n {
		cs = append(cs, Candidate{Conversation: readID[wire.ConversationID](r), Created: r.Varint()})
	}
	return cs
}

// offer adds a conversation, in order of age. It never puts another one out,
// and tells whether anything changed.
func (u *uniqueRow) offer(c Candidate) bool {
	if len(u.Candidates) >= maxCandidates || u.has(c.Conversation) {
		return false
	}
	i, _ := slices.BinarySearchFunc(u.Candidates, c, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Conversation, b.Conversation))
	})
	u.Candidates = slices.Insert(u.Candidates, i, c)
	return true
}

func (u *uniqueRow) has(id wire.ConversationID) bool {
	return slices.ContainsFunc(u.Candidates, func(c Candidate) bool { return c.Conversation == id })
}

// drop removes those of the conversations that are there.
func (u *uniqueRow) drop(ids []wire.ConversationID) bool {
	before := len(u.Candidates)
	u.Candidates = slices.DeleteFunc(u.Candidates, func(c Candidate) bool { return slices.Contains(ids, c.Conversation) })
	return len(u.Candidates) != before
}

// A UniqueKey names a member set of a kind of conversation: the SHA-256 of the
// preset and of the sorted members, each with its length, so that no two sets
// share a key.
type UniqueKey [sha256.Size]byte

// uniqueKeyOf makes the key of a set. The order and repetition of the users do
// not matter.
func uniqueKeyOf(preset Preset, users []wire.UserID) UniqueKey {
	set := slices.Clone(users)
	slices.Sort(set)
	set = slices.Compact(set)
	return sha256.Sum256(appendIDs([]byte{byte(preset)}, set))
}
