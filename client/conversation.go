package client

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// Kind is a kind of conversation.
type Kind int32

// The kinds.
const (
	Basic     = Kind(pb.Kind_KIND_BASIC)     // members, history, unread counts
	Room      = Kind(pb.Kind_KIND_ROOM)      // chat room: members come and go with their sessions
	System    = Kind(pb.Kind_KIND_SYSTEM)    // users follow, only the app speaks
	Temporary = Kind(pb.Kind_KIND_TEMPORARY) // has a time to live
)

// Info describes a conversation.
type Info struct {
	ID          wire.ConversationID
	Name        string
	Kind        Kind
	Creator     wire.UserID
	Created     time.Time
	Updated     time.Time
	Members     []wire.UserID // the first ones, by id
	MemberCount int
	LastSeq     wire.Seq
	LastOffset  wire.Offset
	LastMessage time.Time         // zero: there is none
	Properties  map[string][]byte // each value is JSON
	Unique      bool
	Expires     time.Time // zero: never
	Existed     bool      // of Create: it was there already
	Muted       bool      // only owners and managers may speak
}

func infoOf(p *pb.Conversation) *Info {
	return &Info{
		ID: wire.ConversationID(p.GetId()), Name: p.GetName(), Kind: Kind(p.GetKind()), Creator: wire.UserID(p.GetCreator()),
		Created: timeOf(p.GetCreatedMillis()), Updated: timeOf(p.GetUpdatedMillis()),
		Members: idsOf(p.GetMembers()), MemberCount: int(p.GetMemberCount()),
		LastSeq: wire.Seq(p.GetLastSeq()), LastOffset: wire.Offset(p.GetLastOffset()), LastMessage: timeOf(p.GetLastMessageMillis()),
		Properties: p.GetProperties(), Unique: p.GetUnique(), Expires: timeOf(p.GetExpiresMillis()),
		Existed: p.GetExisted(), Muted: p.GetMuted(),
	}
}

// NewConversation is what to create.
type NewConversation struct {
	Kind       Kind // 0: Basic
	Name       string
	Members    []wire.UserID     // at most 500; the creator is added
	Unique     bool              // find the conversation of exactly these members, or create it
	Properties map[string][]byte // each value is JSON

	// TTL is how long a temporary conversation lives: at most 30 days. 0: a
	// day.
	TTL time.Duration

	// ID is chosen by the app. Empty: 24 random hex digits, or, of a unique
	// one, what the cluster finds.
	ID wire.ConversationID
}

// Create makes a conversation, or finds a unique one that is there already.
func (c *Client) Create(ctx context.Context, n NewConversation) (*Info, error) {
	const op = "conversation.create"
	if n.ID == "" && !n.Unique {
		// Chosen here, so that asking again makes no second one.
		n.ID = wire.NewConversationID(c.link.opts.Wall().Unix(), rand.Uint64())
	}
	resp, err := c.link.change(ctx, op, n.ID, &pb.Request{Op: &pb.Request_CreateConversation{CreateConversation: &pb.CreateConversation{
		Kind: pb.Kind(n.Kind), Name: n.Name, Members: textsOf(n.Members), Unique: n.Unique, Id: string(n.ID),
		Properties: n.Properties, TtlSeconds: uint32(n.TTL / time.Second),
	}}})
	if err != nil {
		return nil, err
	}
	return infoOfAnswer(c.link, op, resp)
}

// infoOfAnswer reads an answer that describes a conversation.
func infoOfAnswer(l *link, op string, resp *pb.Response) (*Info, error) {
	p := resp.GetConversation()
	if p == nil {
		return nil, wrongAnswer(op, resp)
	}
	l.seen.note(p.GetId(), wire.Offset(p.GetLastOffset()))
	return infoOf(p), nil
}

// Membership is one of the user's conversations.
type Membership struct {
	Conversation wire.ConversationID
	JoinedAt     wire.Offset // of the conversation's log
	Joined       time.Time
}

// Conversations pages through the user's conversations, the newest membership
// first. It begins with an empty after; next is the after of the next page,
// and empty at the end.
func (c *Client) Conversations(ctx context.Context, after string, limit int) (page []Membership, next string, err error) {
	const op = "conversation.list"
	resp, err := c.link.ask(ctx, op, &pb.Request{Op: &pb.Request_ListConversations{ListConversations: &pb.ListConversations{
		After: after, Limit: limitOf(limit),
	}}})
	if err != nil {
		return nil, "", err
	}
	p := resp.GetConversations()
	if p == nil {
		return nil, "", wrongAnswer(op, resp)
	}
	for _, m := range p.GetMemberships() {
		page = append(page, Membership{
			Conversation: wire.ConversationID(m.GetConversation()),
			JoinedAt:     wire.Offset(m.GetJoinedOffset()),
			Joined:       timeOf(m.GetJoinedMillis()),
		})
	}
	return page, p.GetNext(), nil
}

// Conversation is a handle: it does nothing but name a conversation to the
// client, costs nothing to make, and need not be closed.
type Conversation struct {
	link  *link
	marks *marks
	id    wire.ConversationID
}

// Conversation returns the handle of a conversation, whether it exists or not.
func (c *Client) Conversation(id wire.ConversationID) *Conversation {
	return &Conversation{link: c.link, marks: c.marks, id: id}
}

// ID returns the conversation's id.
func (v *Conversation) ID() wire.ConversationID { return v.id }

// Get describes the conversation, with up to so many of its members.
func (v *Conversation) Get(ctx context.Context, members int) (*Info, error) {
	const op = "conversation.get"
	resp, err := v.link.ask(ctx, op, &pb.Request{Op: &pb.Request_GetConversation{GetConversation: &pb.GetConversation{
		Conversation: string(v.id), Members: limitOf(members),
	}}})
	if err != nil {
		return nil, err
	}
	return infoOfAnswer(v.link, op, resp)
}

// Update is what to change of a conversation.
type Update struct {
	Name  *string
	Set   map[string][]byte // properties; each value is JSON
	Unset []string          // properties
	Muted *bool             // whether only owners and managers may speak
}

// Update changes the conversation.
func (v *Conversation) Update(ctx context.Context, u Update) error {
	_, err := v.link.change(ctx, "conversation.update", v.id, &pb.Request{Op: &pb.Request_UpdateConversation{
		UpdateConversation: &pb.UpdateConversation{
			Conversation: string(v.id), Name: u.Name, Set: u.Set, Unset: u.Unset, Muted: u.Muted,
		},
	}})
	return err
}

// Destroy ends the conversation for everybody. Its id is never used again.
func (v *Conversation) Destroy(ctx context.Context) error {
	_, err := v.link.change(ctx, "conversation.destroy", v.id, &pb.Request{Op: &pb.Request_DestroyConversation{
		DestroyConversation: &pb.DestroyConversation{Conversation: string(v.id)},
	}})
	return err
}

// Subscribe follows the conversation's log: what came after the offset, then
// what comes. It waits until a node has agreed. A client has at most one
// subscription to a log.
func (v *Conversation) Subscribe(ctx context.Context, after wire.Offset) (*Subscription, error) {
	if err := wire.ValidID(string(v.id)); err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, opSubscribe, "conversation %v", err)
	}
	return subscribe(ctx, v.link, string(v.id), after)
}

// Subscribe follows the user's own log: conversations joined and left, and
// what else concerns the user on all devices.
func (c *Client) Subscribe(ctx context.Context, after wire.Offset) (*Subscription, error) {
	return subscribe(ctx, c.link, "", after)
}

// limitOf makes a count fit for the wire.
func limitOf(n int) uint32 { return uint32(min(max(n, 0), wire.MaxPageEntries)) }
