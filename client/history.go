package client

import (
	"context"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// Range says which messages to read. The zero value is the newest 20, the
// newest first.
type Range struct {
	FromSeq     wire.Seq  // where to begin; 0: at the end that the direction begins at
	UptoSeq     wire.Seq  // where to stop; 0: nowhere
	From        time.Time // instead of FromSeq
	Upto        time.Time // instead of UptoSeq
	OldestFirst bool
	Limit       int // at most 1,000; 0: 20

	// Strong reads what is true when the read begins. Without it the answer may
	// come from a replica that lags, but is never older than what this client
	// has seen of the conversation.
	Strong bool
}

// Page is some of a conversation's messages.
type Page struct {
	Messages   []Message
	More       bool     // there are more in the range
	Next       wire.Seq // with More: where the next page begins
	LastSeq    wire.Seq
	LastOffset wire.Offset // the page knows the log up to here
}

// History reads messages.
func (v *Conversation) History(ctx context.Context, r Range) (*Page, error) {
	const op = "message.history"
	req := &pb.History{
		Conversation: string(v.id), FromSeq: uint64(r.FromSeq), UptoSeq: uint64(r.UptoSeq),
		OldestFirst: r.OldestFirst, Limit: limitOf(r.Limit), FromMillis: millisOf(r.From), UptoMillis: millisOf(r.Upto),
	}
	if !r.Strong {
		req.AtLeastOffset = uint64(v.link.seen.at(string(v.id)))
	}
	resp, err := v.link.ask(ctx, op, &pb.Request{Op: &pb.Request_History{History: req}})
	if err != nil {
		return nil, err
	}
	p := resp.GetMessages()
	if p == nil {
		return nil, wrongAnswer(op, resp)
	}
	v.link.seen.note(string(v.id), wire.Offset(p.GetLastOffset()))
	page := &Page{More: p.GetMore(), Next: wire.Seq(p.GetNextSeq()), LastSeq: wire.Seq(p.GetLastSeq()), LastOffset: wire.Offset(p.GetLastOffset())}
	for _, m := range p.GetMessages() {
		page.Messages = append(page.Messages, messageOf(m, string(v.id)))
	}
	return page, nil
}

// LogPage says everything about (After, Upto] of a log that is for this user:
// what is absent in between is not for him.
type LogPage struct {
	After, Upto wire.Offset
	Entries     []Entry
	Last        wire.Offset // the log's last offset, as far as the node knew
	Ended       bool        // the user may not see anything past Upto
}

// ReadLog reads the conversation's log after an offset, looking at no more than
// limit entries (at most 1,000; 0: 100).
func (v *Conversation) ReadLog(ctx context.Context, after wire.Offset, limit int) (*LogPage, error) {
	return readPage(ctx, v.link, string(v.id), after, limit)
}

// ReadLog reads the user's own log, as Conversation.ReadLog does.
func (c *Client) ReadLog(ctx context.Context, after wire.Offset, limit int) (*LogPage, error) {
	return readPage(ctx, c.link, "", after, limit)
}

func readPage(ctx context.Context, l *link, log string, after wire.Offset, limit int) (*LogPage, error) {
	b, err := readLog(ctx, l, &pb.ReadLog{Log: &pb.LogRef{Conversation: log}, After: uint64(after), Limit: limitOf(limit)})
	if err != nil {
		return nil, err
	}
	page := &LogPage{
		After: wire.Offset(b.GetAfter()), Upto: wire.Offset(b.GetUpto()), Last: wire.Offset(b.GetLast()), Ended: b.GetEnded(),
	}
	for _, e := range b.GetEntries() {
		page.Entries = append(page.Entries, entryOf(e, log))
	}
	return page, nil
}

// readLog reads a page that knows the log at least up to the offset that the
// request asks for, and up to what the client has seen of it.
func readLog(ctx context.Context, l *link, r *pb.ReadLog) (*pb.LogBatch, error) {
	const op = "log.read"
	log := r.GetLog().GetConversation()
	r.AtLeastOffset = max(r.GetAtLeastOffset(), uint64(l.seen.at(log)))
	resp, err := l.ask(ctx, op, &pb.Request{Op: &pb.Request_ReadLog{ReadLog: r}})
	if err != nil {
		return nil, err
	}
	b := resp.GetLog()
	if b == nil {
		return nil, wrongAnswer(op, resp)
	}
	l.seen.note(log, wire.Offset(max(b.GetUpto(), b.GetLast())))
	return b, nil
}

func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
