package state

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// ResolveUnique asks the entry of a member set which conversation is the one
// with exactly these members. Without a candidate it makes an id. Drop names
// candidates that the asker found gone or with other members.
//
// Result.Conversations are to be tried in order: created by id, each answers
// that it exists with these members, or does not any more.
type ResolveUnique struct {
	Preset  Preset
	Members []wire.UserID
	Drop    []wire.ConversationID // at most four
	Salt    uint64                // random: nobody who knows the members can tell the id
}

func (*ResolveUnique) kind() Kind { return kindResolveUnique }

// The subject is the member set: its key is a root like an id.
func (c *ResolveUnique) subject() Subject {
	key := uniqueKeyOf(c.Preset, c.Members)
	return Subject{Conversation: wire.ConversationID(key[:])}
}

func (c *ResolveUnique) append(b []byte) []byte {
	b = append(b, byte(c.Preset))
	b = appendIDs(b, c.Members)
	return binary.BigEndian.AppendUint64(appendIDs(b, c.Drop), c.Salt)
}

func (c *ResolveUnique) decode(in *bin.Reader) {
	c.Preset = Preset(in.Byte())
	c.Members = readIDs[wire.UserID](in, wire.MaxMembersAdded)
	c.Drop = readIDs[wire.ConversationID](in, maxCandidates)
	c.Salt = in.Uint64()
}

func (c *ResolveUnique) apply(t *txn, h *Header) Result {
	if len(c.Members) == 0 {
		return refuse(Invalid, "no members are named")
	}
	key := uniqueKeyOf(c.Preset, c.Members)
	row := loadUnique(t, h.App, key)
	changed := row.drop(c.Drop)
	if mutant.On(mutant.OwnUnique) { // a planted bug, see package mutant
		row.Candidates = nil
	}
	existed := len(row.Candidates) > 0
	if !existed {
		row.Generation++
		row.offer(Candidate{Conversation: key.conversation(t.stamp, row.Generation, c.Salt), Created: t.stamp})
		changed = true
	}
	if changed {
		t.put(uniqueRowKey(h.App, key), row.encode(nil))
	}
	result := Result{Existed: existed, Conversation: row.Candidates[0].Conversation}
	for _, candidate := range row.Candidates {
		result.Conversations = append(result.Conversations, candidate.Conversation)
	}
	return result
}

// conversation makes the id of the set's next conversation. All who create it
// at once get it from here, so they agree before it exists.
func (k UniqueKey) conversation(stamp int64, generation, salt uint64) wire.ConversationID {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(k[:])
	_, _ = d.Write(appendUint64(nil, generation))
	_, _ = d.Write(appendUint64(nil, uint64(stamp)))
	_, _ = d.Write(appendUint64(nil, salt))
	return wire.NewConversationID(stamp/1000, d.Sum64())
}

// uniqueRowKey is the key of a set's entry:
//
//	| slot, 2 | table, 1 | n, 1 | app, n | 32, 1 | SHA-256, 32 |
func uniqueRowKey(app wire.AppID, key UniqueKey) []byte {
	return scope{slot: wire.SlotOf(app, string(key[:])), app: app, root: string(key[:])}.key(nil, tableUnique)
}

func loadUnique(r reader, app wire.AppID, key UniqueKey) uniqueRow {
	b := r.get(uniqueRowKey(app, key))
	if b == nil {
		return uniqueRow{}
	}
	row, err := decodeUniqueRow(b)
	if err != nil {
		r.fail(err)
	}
	return row
}

// takeOffer takes that a conversation has these members now. Whether it still
// has them is for the conversation to say when somebody asks.
func takeOffer(t *txn, o *OutboxRow) bool {
	if len(o.User) != len(UniqueKey{}) {
		return false
	}
	key := UniqueKey([]byte(o.User))
	row := loadUnique(t, o.App, key)
	if !row.offer(Candidate{Conversation: o.Conversation, Created: o.At}) {
		return false
	}
	t.put(uniqueRowKey(o.App, key), row.encode(nil))
	return true
}

// offerMembers tells the entry of the conversation's new member set, after a
// change of members, that the conversation may be the one. It is a hint: where
// too much waits for that slot, and for sets that nobody can ask for, it is
// left out.
func offerMembers(t *txn, c *conversation) {
	if !c.info.Unique || c.head.members == 0 || c.head.members > wire.MaxMembersAdded {
		return
	}
	key := uniqueKeyOf(c.info.Policy.Preset, c.someMembers(t, wire.MaxMembersAdded))
	o := OutboxRow{
		OutboxRef: OutboxRef{
			Kind: OutboxOffer, App: c.scope.app, Conversation: c.id(), User: wire.UserID(key[:]), Version: uint64(c.head.offset),
		},
		OutboxNote: OutboxNote{On: true, At: c.info.Created},
	}
	if !t.outboxFullFor(&o.OutboxRef) {
		t.note(&o)
	}
}

// UniqueLookup returns the conversations that may have exactly these members,
// oldest first, as [ResolveUnique] without a change.
func (s *Queries) UniqueLookup(app wire.AppID, preset Preset, members []wire.UserID) ([]wire.ConversationID, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	row := loadUnique(v, app, uniqueKeyOf(preset, members))
	var ids []wire.ConversationID
	for _, c := range row.Candidates {
		ids = append(ids, c.Conversation)
	}
	return ids, v.close()
}
