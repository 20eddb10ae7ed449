package client

import (
	"context"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

const opSend = "message.send"

// Draft is a message to be sent.
type Draft struct {
	Body        []byte // at most wire.MaxBodyBytes
	ContentType string // the app's; empty: text
	Mentions    []wire.UserID
	MentionAll  bool
	Targets     []wire.UserID // only for these members, at most 100

	// Token, if it is not nil, gets the message's token when the sending begins.
	// A token that is set already is used again, see Token.
	Token *Token

	// Transient makes it a message that reaches only those who are online, is
	// not stored and may be dropped. It is sent once: when the connection is
	// lost before the answer, the call fails.
	Transient bool
}

// Text is a draft of plain text.
func Text(text string) Draft { return Draft{Body: []byte(text)} }

// Sent is where a message that was sent stands.
type Sent struct {
	ID     wire.MessageID
	Seq    wire.Seq
	Offset wire.Offset
	Time   time.Time
}

// Message is a message as it is now.
type Message struct {
	ID           wire.MessageID
	Seq          wire.Seq
	Offset       wire.Offset
	Conversation wire.ConversationID
	From         wire.UserID
	Time         time.Time
	Body         []byte
	ContentType  string
	Mentions     []wire.UserID
	MentionAll   bool
	Targets      []wire.UserID
	Edited       time.Time // zero: as it was sent
	Recalled     bool      // the body is empty
	Transient    bool
}

// messageOf reads a message; where the frame does not name the conversation,
// it is the given one.
func messageOf(p *pb.Message, conversation string) Message {
	if p.GetConversation() != "" {
		conversation = p.GetConversation()
	}
	return Message{
		ID: wire.MessageID(p.GetId()), Seq: wire.Seq(p.GetSeq()), Offset: wire.Offset(p.GetOffset()),
		Conversation: wire.ConversationID(conversation), From: wire.UserID(p.GetFrom()), Time: timeOf(p.GetTimestampMillis()),
		Body: p.GetBody(), ContentType: p.GetContentType(),
		Mentions: idsOf(p.GetMentions()), MentionAll: p.GetMentionAll(), Targets: idsOf(p.GetTargets()),
		Edited: timeOf(p.GetEditedMillis()), Recalled: p.GetRecalled(), Transient: p.GetTransient(),
	}
}

// Send sends a message and waits until it is on the disks of a majority. It is
// sent again, harmlessly, until there is an answer or ctx is done; after the
// latter the message may or may not have been sent.
func (v *Conversation) Send(ctx context.Context, d Draft) (Sent, error) {
	payload, err := encodeSend(v.id, d)
	if err != nil {
		return Sent{}, err
	}
	resp, err := v.link.do(ctx, v.sendCommand(payload, d))
	if err != nil {
		return Sent{}, err
	}
	return v.sent(resp)
}

// SendAsync is Send without waiting for the answer: done gets it, once. It
// waits only while 255 messages of the conversation have no answer, or too many
// calls of the client. Messages are sent in the order of the calls. done is
// called on one of the client's goroutines, or on the caller's when the message
// could not be sent at all; it must not wait, but may send.
func (v *Conversation) SendAsync(ctx context.Context, d Draft, done func(Sent, error)) {
	payload, err := encodeSend(v.id, d)
	if err != nil {
		done(Sent{}, err)
		return
	}
	v.link.startAsync(ctx, v.sendCommand(payload, d), func(resp *pb.Response, err error) {
		if err != nil {
			done(Sent{}, err)
			return
		}
		done(v.sent(resp))
	})
}

func (v *Conversation) sendCommand(payload []byte, d Draft) command {
	cmd := command{op: opSend, payload: payload, lane: string(v.id), numbered: !d.Transient, once: d.Transient}
	if cmd.numbered {
		cmd.token = d.Token
	}
	return cmd
}

func (v *Conversation) sent(resp *pb.Response) (Sent, error) {
	p := resp.GetSent()
	if p == nil {
		return Sent{}, wrongAnswer(opSend, resp)
	}
	v.link.seen.note(string(v.id), wire.Offset(p.GetOffset()))
	return Sent{
		ID: wire.MessageID(p.GetId()), Seq: wire.Seq(p.GetSeq()),
		Offset: wire.Offset(p.GetOffset()), Time: timeOf(p.GetTimestampMillis()),
	}, nil
}

// Edit replaces a message of the user. Of the draft, the body, its type and the
// mentions count.
func (v *Conversation) Edit(ctx context.Context, id wire.MessageID, d Draft) error {
	_, err := v.link.change(ctx, "message.edit", v.id, &pb.Request{Op: &pb.Request_EditMessage{EditMessage: &pb.EditMessage{
		Conversation: string(v.id), Id: string(id), Body: d.Body, ContentType: d.ContentType,
		Mentions: textsOf(d.Mentions), MentionAll: d.MentionAll,
	}}})
	return err
}

// Recall empties a message of the user, for everybody and for good.
func (v *Conversation) Recall(ctx context.Context, id wire.MessageID) error {
	_, err := v.link.change(ctx, "message.recall", v.id, &pb.Request{Op: &pb.Request_RecallMessage{
		RecallMessage: &pb.RecallMessage{Conversation: string(v.id), Id: string(id)},
	}})
	return err
}
