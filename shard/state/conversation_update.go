package state

import (
	"bytes"
	"slices"
	"strings"

	"github.com/quorate/quorate/shard/jsonop"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Switch is a change of something that is on or off.
type Switch uint8

// The switches. The zero value leaves things as they are.
const (
	SwitchKeep Switch = 0
	SwitchOn   Switch = 1
	SwitchOff  Switch = 2
)

// UpdateConversation changes a conversation's name, properties or mute.
type UpdateConversation struct {
	ID      wire.ConversationID
	SetName bool // Name is the new one
	Name    string
	Set     []Property
	Unset   []string
	Muted   Switch // on: nobody below a manager may speak

	Changes []Change // done in their order, after Set and Unset
	Sent    []byte   // the change in the words of who asked, for those who are told; at most 16 KiB
}

// A Change is one operation on a conversation's name or properties.
type Change struct {
	Path  string // "name", a property, or a place in one whose value is an object: "property.key.key"
	Op    ChangeOp
	Value []byte // JSON; of Add, AddUnique and Remove an array of elements; of Delete none
}

// ChangeOp is what a Change does.
type ChangeOp = jsonop.Op

// The operations.
const (
	ChangeSet       = jsonop.Set
	ChangeDelete    = jsonop.Delete
	ChangeAdd       = jsonop.Add
	ChangeAddUnique = jsonop.AddUnique
	ChangeRemove    = jsonop.Remove
	ChangeIncrement = jsonop.Increment
	ChangeBitAnd    = jsonop.BitAnd
	ChangeBitOr     = jsonop.BitOr
	ChangeBitXor    = jsonop.BitXor
)

const (
	maxChanges    = 100
	maxChangePath = 512      // bytes
	maxSentBytes  = 16 << 10 // of a change in the words of who asked
)

func (*UpdateConversation) kind() Kind { return kindUpdateConversation }

func (c *UpdateConversation) subject() Subject { return Subject{Conversation: c.ID} }

func (c *UpdateConversation) append(b []byte) []byte {
	b = bin.AppendString(b, c.ID)
	b = bin.AppendBool(b, c.SetName)
	b = bin.AppendString(b, c.Name)
	b = appendProperties(b, c.Set)
	b = bin.AppendUvarint(b, uint64(len(c.Unset)))
	for _, name := range c.Unset {
		b = bin.AppendString(b, name)
	}
	b = append(b, byte(c.Muted))
	if len(c.Changes) == 0 && len(c.Sent) == 0 {
		return b // as before there were operations
	}
	b = bin.AppendUvarint(b, uint64(len(c.Changes)))
	for _, one := range c.Changes {
		b = append(bin.AppendString(b, one.Path), byte(one.Op))
		b = bin.AppendString(b, one.Value)
	}
	return bin.AppendString(b, c.Sent)
}

func (c *UpdateConversation) decode(in *bin.Reader) {
	c.ID = readID[wire.ConversationID](in)
	c.SetName = in.Bool()
	c.Name = in.String()
	c.Set = readProperties(in)
	for range in.Count(maxProperties) {
		c.Unset = append(c.Unset, in.String())
	}
	c.Muted = Switch(in.Byte())
	if in.Len() == 0 {
		return
	}
	for range in.Count(maxChanges) {
		c.Changes = append(c.Changes, Change{Path: in.String(), Op: ChangeOp(in.Byte()), Value: in.Bytes()})
	}
	c.Sent = in.Bytes()
}

func (c *UpdateConversation) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.ID))
	if r := conv.live(t.stamp); r != None {
		return refuse(r, "")
	}
	if r := c.allowed(t, conv, h.Actor); r.Refusal != None {
		return r
	}
	changes := c.changes()
	mutes := c.Muted != SwitchKeep && (c.Muted == SwitchOn) != (conv.head.flags&headMuted != 0)
	e := newEdit(&conv.info)
	if r := e.all(c); r.Refusal != None {
		return r
	}
	told, err := e.changed()
	if err != nil {
		return refuse(Invalid, err.Error())
	}
	result := Result{Conversation: c.ID, Timestamp: conv.info.Updated}
	if changes {
		conv.info.Name, conv.info.Properties, result.Data = e.name, e.properties, told
	}
	if changes || mutes {
		result.Timestamp = conv.update(t)
	}
	if changes {
		result.Offset = conv.append(t, &Entry{Kind: EntryUpdated, Changed: result.Data, Sent: bytes.Clone(c.Sent)})
	}
	if mutes {
		conv.head.flags ^= headMuted
		kind := EntryUnmuted
		if c.Muted == SwitchOn {
			kind = EntryMuted
		}
		result.Offset = conv.append(t, &Entry{Kind: kind})
	}
	return result
}

// changes tells whether the update is of more than the mute.
func (c *UpdateConversation) changes() bool {
	return c.SetName || len(c.Set)+len(c.Unset)+len(c.Changes) > 0
}

// allowed refuses an actor who may not do what the update asks for.
func (c *UpdateConversation) allowed(t *txn, conv *conversation, actor wire.UserID) Result {
	if c.Muted > SwitchOff {
		return refuse(Invalid, "no such switch")
	}
	if c.changes() {
		if r := conv.allow(t, actor, conv.info.Policy.Change); r != None {
			return refuse(r, "may not change the conversation")
		}
	}
	if c.Muted != SwitchKeep {
		if r := conv.allow(t, actor, conv.info.Policy.Manage); r != None {
			return refuse(r, "may not mute the conversation")
		}
	}
	return Result{}
}

// checkInfo refuses a name or properties beyond their limits.
func checkInfo(name string, properties []Property) Result {
	total := 0
	for _, p := range properties {
		total += len(p.Name) + len(p.Value)
		if p.Name == "" || len(p.Name) > maxPropertyName {
			return refuse(Invalid, "a property's name is empty or too long")
		}
	}
	switch {
	case len(name) > maxNameBytes:
		return refuse(Limit, "the name is too long")
	case len(properties) > maxProperties, total > maxPropertyBytes:
		return refuse(Limit, "the properties are too many or too large")
	default:
		return Result{}
	}
}

// sortedProperties sorts by name; of two with one name the last counts.
func sortedProperties(ps []Property) []Property { return changedProperties(nil, ps, nil) }

// changedProperties returns new properties: the old ones with some set and some
// unset. It changes none of its arguments and keeps nothing of set.
func changedProperties(old, set []Property, unset []string) []Property {
	ps := slices.Clone(old)
	for _, p := range set {
		i, found := findProperty(ps, p.Name)
		p.Value = slices.Clone(p.Value)
		if found {
			ps[i] = p
		} else {
			ps = slices.Insert(ps, i, p)
		}
	}
	for _, name := range unset {
		if i, found := findProperty(ps, name); found {
			ps = slices.Delete(ps, i, i+1)
		}
	}
	return ps
}

func findProperty(ps []Property, name string) (int, bool) {
	return slices.BinarySearchFunc(ps, name, func(p Property, name string) int { return strings.Compare(p.Name, name) })
}
