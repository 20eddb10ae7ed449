package client

import (
	"context"
	"sync"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

const opMark = "cursor.move"

// Cursor is how far a member has read a conversation, and received it.
type Cursor struct {
	Conversation wire.ConversationID
	User         wire.UserID
	Read         wire.Seq
	Delivered    wire.Seq
	ReadAt       time.Time // zero: not told
}

func cursorMoved(p *pb.CursorMoved) Cursor {
	return Cursor{
		Conversation: wire.ConversationID(p.GetConversation()), User: wire.UserID(p.GetUser()),
		Read: wire.Seq(p.GetReadSeq()), Delivered: wire.Seq(p.GetDeliveredSeq()),
	}
}

// MarkRead moves the user's read cursor forward to a sequence and waits until
// that is stored. A cursor never goes back: of two moves the larger one wins.
func (v *Conversation) MarkRead(ctx context.Context, upto wire.Seq) error {
	_, err := v.link.ask(ctx, opMark, moveCursor(v.id, mark{read: upto}, false))
	return err
}

// Mark moves the user's cursors, read and delivered, without waiting: for a
// client that marks as it shows. Marks are gathered, here and in the cluster;
// those of the last second may be lost with the process. 0 leaves a cursor
// where it is.
func (v *Conversation) Mark(read, delivered wire.Seq) {
	v.marks.add(v.id, mark{read: read, delivered: delivered})
}

// Cursors returns the cursors of all members whose receipts the conversation
// keeps, or only the user's own.
func (v *Conversation) Cursors(ctx context.Context) ([]Cursor, error) {
	const op = "cursor.list"
	resp, err := v.link.ask(ctx, op, &pb.Request{Op: &pb.Request_GetCursors{GetCursors: &pb.GetCursors{Conversation: string(v.id)}}})
	if err != nil {
		return nil, err
	}
	p := resp.GetCursors()
	if p == nil {
		return nil, wrongAnswer(op, resp)
	}
	cursors := make([]Cursor, 0, len(p.GetCursors()))
	for _, c := range p.GetCursors() {
		cursors = append(cursors, Cursor{
			Conversation: v.id, User: wire.UserID(c.GetUser()), Read: wire.Seq(c.GetReadSeq()),
			Delivered: wire.Seq(c.GetDeliveredSeq()), ReadAt: timeOf(c.GetReadMillis()),
		})
	}
	return cursors, nil
}

// Unread is what the user has not read of a conversation.
type Unread struct {
	Conversation wire.ConversationID
	Count        uint64
	Mentioned    bool
	Read         wire.Seq // the user's cursor
	Last         wire.Seq
	Err          *wire.Error // why there is nothing to tell
}

// Unread tells how much the user has not read of up to 50 conversations.
func (c *Client) Unread(ctx context.Context, conversations ...wire.ConversationID) ([]Unread, error) {
	const op = "unread.get"
	req := &pb.GetUnread{}
	for _, id := range conversations {
		req.Conversations = append(req.Conversations, string(id))
	}
	resp, err := c.link.ask(ctx, op, &pb.Request{Op: &pb.Request_GetUnread{GetUnread: req}})
	if err != nil {
		return nil, err
	}
	p := resp.GetUnreads()
	if p == nil {
		return nil, wrongAnswer(op, resp)
	}
	unreads := make([]Unread, 0, len(p.GetUnreads()))
	for _, u := range p.GetUnreads() {
		c.link.seen.note(u.GetConversation(), wire.Offset(u.GetLastOffset()))
		unreads = append(unreads, Unread{
			Conversation: wire.ConversationID(u.GetConversation()), Count: u.GetCount(), Mentioned: u.GetMentioned(),
			Read: wire.Seq(u.GetReadSeq()), Last: wire.Seq(u.GetLastSeq()), Err: errorOf(u.GetError()),
		})
	}
	return unreads, nil
}

// moveCursor has no number: a cursor that is moved twice to one place is where
// it was, so the cluster need not remember the command.
func moveCursor(id wire.ConversationID, m mark, lazy bool) *pb.Request {
	return &pb.Request{Op: &pb.Request_MoveCursor{MoveCursor: &pb.MoveCursor{
		Conversation: string(id), ReadSeq: uint64(m.read), DeliveredSeq: uint64(m.delivered), Lazy: lazy,
	}}}
}

// mark is how far cursors are to be moved.
type mark struct{ read, delivered wire.Seq }

func (m mark) and(n mark) mark {
	return mark{read: max(m.read, n.read), delivered: max(m.delivered, n.delivered)}
}

// maxMarks is how many conversations may have marks on the way. Beyond it new
// ones are dropped; the next mark of the conversation makes up for it.
const maxMarks = 4096

// marks gathers lazy marks: of each conversation one request is under way, and
// what comes meanwhile is one more.
type marks struct {
	link *link
	mu   struct {
		sync.Mutex
		flying map[wire.ConversationID]*flyingMark
	}
}

// flyingMark is the marks of one conversation.
type flyingMark struct {
	asked mark // under way
	next  mark // to be asked after that
}

func newMarks(l *link) *marks {
	m := &marks{link: l}
	m.mu.flying = map[wire.ConversationID]*flyingMark{}
	return m
}

func (m *marks) add(id wire.ConversationID, to mark) {
	m.mu.Lock()
	if f := m.mu.flying[id]; f != nil {
		f.next = f.next.and(to)
		m.mu.Unlock()
		return
	}
	if len(m.mu.flying) >= maxMarks {
		m.mu.Unlock()
		return
	}
	m.mu.flying[id] = &flyingMark{asked: to, next: to}
	m.mu.Unlock()
	m.ask(id, to)
}

// ask sends a mark. It takes no place of the link's, so it never waits.
func (m *marks) ask(id wire.ConversationID, to mark) {
	payload, err := encode(opMark, moveCursor(id, to, true))
	if err != nil || !m.link.post(payload, func(*pb.Response, error) { m.asked(id) }) {
		m.mu.Lock()
		delete(m.mu.flying, id)
		m.mu.Unlock()
	}
}

// asked follows an answer, whichever: a refused mark is not asked again.
func (m *marks) asked(id wire.ConversationID) {
	m.mu.Lock()
	f := m.mu.flying[id]
	if f.next.and(f.asked) == f.asked {
		delete(m.mu.flying, id)
		m.mu.Unlock()
		return
	}
	f.asked = f.asked.and(f.next)
	to := f.asked
	m.mu.Unlock()
	m.ask(id, to)
}

// post queues a read-like request that nobody waits for. It tells whether the
// client still lives; if it ends before the answer, done is not called.
func (l *link) post(payload []byte, done func(*pb.Response, error)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil {
		return false
	}
	l.mu.nextOrder++
	l.mu.queue.push(&call{payload: payload, order: l.mu.nextOrder, done: done})
	l.kickLocked()
	return true
}
