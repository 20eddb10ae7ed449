package state

import (
	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// SendMessage appends a message to a conversation. It writes four keys: the
// message, the conversation's head (once an entry), the sender's unread
// exception where unread is counted, and the token.
type SendMessage struct {
	Conversation wire.ConversationID
	From         wire.UserID // for the app: whom it speaks as; empty: itself. A user speaks as himself
	Body         []byte
	ContentType  string
	Mentions     []wire.UserID // at most 100
	MentionAll   bool
	Targets      []wire.UserID // only for these members; at most 100
	Receipt      bool          // the sender wants to know when it is delivered and read

	// ID, of the app alone, is the message's id instead of one that is made of its
	// place: what is sent into several conversations can have one in all of them.
	ID wire.MessageID
}

func (*SendMessage) kind() Kind { return kindSendMessage }

func (c *SendMessage) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *SendMessage) append(b []byte) []byte {
	b = bin.AppendString(b, c.Conversation)
	b = bin.AppendString(b, c.From)
	b = bin.AppendString(b, c.Body)
	b = bin.AppendString(b, c.ContentType)
	b = appendIDs(b, c.Mentions)
	b = bin.AppendBool(b, c.MentionAll)
	b = appendIDs(b, c.Targets)
	if c.Receipt || c.ID != "" {
		b = bin.AppendBool(b, c.Receipt) // else as before there were receipts
	}
	if c.ID != "" {
		b = bin.AppendString(b, c.ID) // else as before the app could choose it
	}
	return b
}

func (c *SendMessage) decode(in *bin.Reader) { c.read(in, &names{}) }

// read sets all fields: apply uses one command again and again.
func (c *SendMessage) read(in *bin.Reader, n *names) {
	c.Conversation = readName[wire.ConversationID](in, n)
	c.From = readName[wire.UserID](in, n)
	c.Body = in.Bytes()
	c.ContentType = n.string(in.Bytes())
	c.Mentions = readIDs[wire.UserID](in, maxListed)
	c.MentionAll = in.Bool()
	c.Targets = readIDs[wire.UserID](in, maxListed)
	c.Receipt, c.ID = in.Len() > 0 && in.Bool(), ""
	if in.Len() > 0 {
		c.ID = readID[wire.MessageID](in)
	}
}

func (c *SendMessage) apply(t *txn, h *Header) Result {
	conv := t.conversation(t.subject)
	if r := conv.live(t.stamp); r != None {
		return refuse(r, "")
	}
	from := h.Actor
	if from == "" {
		from = c.From
	}
	if r := conv.maySpeak(t, h.Actor); r != None {
		return refuse(r, "may not speak here")
	}
	if r := checkContent(c.Body, c.ContentType, c.Mentions); r.Refusal != None {
		return r
	}
	if r := c.checkID(t, h, conv); r.Refusal != None {
		return r
	}
	targets, result := c.targets(t, conv)
	if result.Refusal != None {
		return result
	}
	m := t.newMessage()
	m.From, m.Body, m.ContentType, m.Targets = from, c.Body, c.ContentType, targets
	m.Mentions, m.MentionAll, m.Receipt = distinct(c.Mentions), c.MentionAll, c.Receipt
	m.ID, m.Imported = c.ID, c.ID != ""
	conv.send(t, m)
	result.MessageID, result.Seq, result.Offset, result.Timestamp = m.ID, m.Seq, m.Offset, m.Timestamp
	return result
}

// checkID refuses an id that somebody else than the app chose, or that is taken.
func (c *SendMessage) checkID(t *txn, h *Header, conv *conversation) Result {
	switch {
	case c.ID == "":
		return Result{}
	case h.Actor != "":
		return refuse(Forbidden, "only the app chooses a message's id")
	case findMessage(t, conv.scope, c.ID) != nil:
		return refuse(Exists, "there is a message with this id")
	default:
		return Result{}
	}
}

// targets returns whom the message is for, and a result that lists those who
// are not members.
func (c *SendMessage) targets(t *txn, conv *conversation) ([]wire.UserID, Result) {
	switch {
	case len(c.Targets) == 0:
		return nil, Result{}
	case !conv.info.Policy.Members:
		return nil, refuse(Invalid, "a message can be for some only where members are stored")
	case len(c.Targets) > wire.MaxTargets:
		return nil, refuse(Limit, "too many targets")
	}
	var result Result
	var targets []wire.UserID
	for _, u := range distinct(c.Targets) {
		if t.member(conv.scope, u).User == "" {
			result.Users = append(result.Users, UserResult{User: u, Refusal: NotMember})
			continue
		}
		targets = append(targets, u)
	}
	if len(targets) == 0 {
		return nil, refuse(NotMember, "no target is a member")
	}
	return targets, result
}

// maySpeak refuses an actor who may not send into the conversation now.
func (c *conversation) maySpeak(t *txn, actor wire.UserID) Refusal {
	if !c.info.Policy.Store {
		return Invalid
	}
	return c.speechOf(t, actor)
}

// speechOf refuses an actor who may not say anything here now, stored or not.
func (c *conversation) speechOf(t *txn, actor wire.UserID) Refusal {
	switch {
	case actor == "", mutant.On(mutant.CheckAtEdgeOnly): // a planted bug, see package mutant
		return None
	case !c.info.Policy.Members:
		m := c.visitor(t, actor)
		return orBanned(c, t, actor, c.speech(actor, &m, t.stamp))
	}
	m := &t.member(c.scope, actor).Member
	r := c.speech(actor, m, t.stamp)
	if m.User == "" {
		return orBanned(c, t, actor, r)
	}
	return r
}

// checkContent refuses what is too large to be a message.
func checkContent(body []byte, contentType string, mentions []wire.UserID) Result {
	switch {
	case len(body) > wire.MaxBodyBytes:
		return refuse(Limit, "the body is too large")
	case len(contentType) > maxContentType:
		return refuse(Limit, "the content type is too long")
	case len(mentions) > maxMentions:
		return refuse(Limit, "too many mentions")
	default:
		return Result{}
	}
}

// send gives the message its place and time, and writes it.
func (c *conversation) send(t *txn, m *Message) {
	h, policy := &c.head, &c.info.Policy
	before := h.timestamp
	if !mutant.On(mutant.EarlySequence) { // a planted bug, see package mutant
		h.seq++
	}
	h.offset++
	h.timestamp = max(t.stamp, h.timestamp)
	m.Seq, m.Offset, m.Timestamp = h.seq, h.offset, h.timestamp
	if m.Receipt {
		h.asked = m.Seq
	}
	if m.Imported {
		t.put(c.scope.name(nil, tableImported, string(m.ID)), appendImported(nil, m.Seq))
	} else {
		m.ID = wire.NewMessageID(c.id(), m.Timestamp, m.Seq)
	}
	if m.Counted = policy.Unread; m.Counted {
		c.count(t, m)
	}
	m.Count = h.count
	c.touch(t)
	c.writeMessage(t, m)
	if m.Counted {
		mention(t, c.scope, m)
	}
	if m.Seq == 1 || before/dayMillis != m.Timestamp/dayMillis {
		t.put(c.dayKey(nil, m.Timestamp), appendDay(nil, m.Seq))
	}
	if policy.RetentionMillis > 0 && m.Seq == h.floorSeq+1 {
		setTimer(t, m.Timestamp+policy.RetentionMillis, timerRetention, c.scope.key(nil, tableHead))
	}
	if t.told != nil {
		t.appendEntry(c.scope, c.log(), t.sent.tell())
	}
}

// earlySequence gives a message its sequence before it is known whether it will
// be one: a planted bug, see package mutant.
func (t *txn) earlySequence(c Command) {
	if _, ok := c.(*SendMessage); !ok {
		return
	}
	if conv := t.conversation(t.subject); conv.live(t.stamp) == None {
		conv.head.seq++
		conv.touch(t)
	}
}

// sentMessage is a message on its way into the state, with the entry by which
// the hook is told of it: one piece of memory for both.
type sentMessage struct {
	message Message
	entry   Entry
}

// newMessage returns an empty message to send. Only if the hook is told of it, it
// outlives the command.
func (t *txn) newMessage() *Message {
	if t.sent == nil || t.told != nil {
		t.sent = new(sentMessage)
	}
	t.sent.message = Message{}
	return &t.sent.message
}

// tell returns the entry. The message must not change after that.
func (s *sentMessage) tell() *Entry {
	s.entry = messageEntry(&s.message)
	return &s.entry
}

// count counts a new message for unread. One for all raises C, and the sender
// is excepted; one for some is an exception of each of them.
func (c *conversation) count(t *txn, m *Message) {
	if len(m.Targets) == 0 {
		c.head.count++
		if m.From != "" {
			t.except(c.scope, m.From, m.Seq, -1)
		}
		return
	}
	for _, u := range m.Targets {
		if u != m.From {
			t.except(c.scope, u, m.Seq, 1)
		}
	}
}

func (c *conversation) writeMessage(t *txn, m *Message) {
	t.keyBuf = c.scope.number(t.keyBuf[:0], tableMessage, uint64(m.Seq))
	t.valBuf = appendMessage(t.valBuf[:0], m)
	t.put(t.keyBuf, t.valBuf)
}
