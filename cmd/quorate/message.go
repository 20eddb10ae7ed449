package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

type messageCmd struct {
	Send messageSendCmd `cmd:"" help:"Send a message, or many, and print id and sequence of each."`
	List messageListCmd `cmd:"" help:"List the newest messages, oldest first."`
	Tail messageTailCmd `cmd:"" help:"Follow a conversation live."`
}

// messageJSON is a message as scripts read it.
type messageJSON struct {
	Conversation string `json:"conversation"`
	Seq          uint64 `json:"seq"`
	ID           string `json:"id"`
	From         string `json:"from"`
	Timestamp    int64  `json:"timestamp"` // milliseconds since 1970
	Text         string `json:"text"`
	Offset       uint64 `json:"offset"`
	ContentType  string `json:"content_type,omitempty"`
	Edited       bool   `json:"edited,omitempty"`
	Recalled     bool   `json:"recalled,omitempty"`
}

func (e *env) printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	_, err = e.stdout.Write(append(b, '\n'))
	return err
}

func (e *env) printMessage(m client.Message, asJSON bool) error {
	if asJSON {
		return e.printJSON(messageJSON{
			Conversation: string(m.Conversation), Seq: uint64(m.Seq), ID: string(m.ID), From: string(m.From),
			Timestamp: m.Time.UnixMilli(), Text: string(m.Body), Offset: uint64(m.Offset), ContentType: m.ContentType,
			Edited: !m.Edited.IsZero(), Recalled: m.Recalled,
		})
	}
	text := printable(string(m.Body))
	if m.Recalled {
		text = "(recalled)"
	}
	_, err := fmt.Fprintf(e.stdout, "%d  %s  %s: %s\n", m.Seq, m.Time.Local().Format("15:04:05.000"), m.From, text)
	return err
}

// printable keeps a message from moving the terminal's cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '�'
		}
		return r
	}, text)
}

type messageSendCmd struct {
	connection
	As           string        `required:"" help:"Who sends." placeholder:"USER"`
	Conversation string        `arg:"" help:"Where to."`
	Text         string        `arg:"" help:"What; %d in it is the number of the message."`
	Count        int           `help:"How many times." default:"1"`
	InFlight     int           `help:"How many may be without an answer at once." default:"64"`
	Timeout      time.Duration `help:"How long one message may take, over all tries." default:"60s"`
	JSON         bool          `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (messageSendCmd) Help() string {
	return `Each message is sent until it is on the disks of a majority; sending it again is harmless.

Example: quorate message send --as tom 6565a1b20000c3d4e5f60718 'Number %d' --count 1000`
}

// Run sends.
func (c *messageSendCmd) Run(ctx context.Context, e *env) error {
	if c.Count < 1 || c.InFlight < 1 {
		return misused("--count and --in-flight want at least 1")
	}
	q, err := c.dialAs(ctx, e, c.As)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	s := &sending{cmd: c, e: e, places: make(chan struct{}, c.InFlight)}
	return s.run(ctx, q.Conversation(wire.ConversationID(c.Conversation)))
}

// sending is the progress of a send command.
type sending struct {
	cmd    *messageSendCmd
	e      *env
	places chan struct{} // one for each message without an answer

	mu       sync.Mutex
	acked    int
	failed   int
	firstErr error
}

func (s *sending) run(ctx context.Context, conv *client.Conversation) error {
	started := time.Now()
	var waits sync.WaitGroup
	for i := 1; i <= s.cmd.Count && s.ok(); i++ {
		select {
		case s.places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		text := strings.ReplaceAll(s.cmd.Text, "%d", strconv.Itoa(i))
		one, cancel := context.WithTimeout(ctx, s.cmd.Timeout)
		waits.Add(1)
		conv.SendAsync(one, client.Text(text), func(sent client.Sent, err error) {
			defer waits.Done()
			defer cancel()
			s.done(conv.ID(), text, sent, err)
			<-s.places
		})
	}
	waits.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd.Count > 1 {
		took := time.Since(started)
		s.e.say("%d sent in %v, %.0f a second; %d without an acknowledgement", s.acked, took.Round(time.Millisecond), float64(s.acked)/took.Seconds(), s.failed)
	}
	if s.firstErr == nil && s.acked < s.cmd.Count {
		return fmt.Errorf("interrupted: %d of %d are acknowledged", s.acked, s.cmd.Count)
	}
	return s.firstErr
}

func (s *sending) ok() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.firstErr == nil
}

func (s *sending) done(conv wire.ConversationID, text string, sent client.Sent, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed++
		if s.firstErr == nil {
			s.firstErr = fmt.Errorf("send: %w", err)
		}
		return
	}
	s.acked++
	if s.cmd.JSON {
		err = s.e.printJSON(messageJSON{
			Conversation: string(conv), Seq: uint64(sent.Seq), ID: string(sent.ID), From: s.cmd.As,
			Timestamp: sent.Time.UnixMilli(), Text: text, Offset: uint64(sent.Offset),
		})
	} else {
		_, err = fmt.Fprintf(s.e.stdout, "%s %d\n", sent.ID, sent.Seq)
	}
	if err != nil && s.firstErr == nil {
		s.firstErr = fmt.Errorf("print: %w", err)
	}
}

type messageListCmd struct {
	connection
	Conversation string  `arg:"" help:"The conversation."`
	As           *string `help:"Who reads; without, the app does, with its master key." placeholder:"USER"`
	Limit        int     `help:"How many of the newest; 0: all." default:"20"`
	JSON         bool    `name:"json" help:"Print JSON."`
}

// Run lists.
func (c *messageListCmd) Run(ctx context.Context, e *env) error {
	if c.Limit < 0 {
		return misused("--limit wants 0 or more")
	}
	q, err := c.dial(ctx, e, c.As)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	conv := q.Conversation(wire.ConversationID(c.Conversation))
	from, err := c.first(ctx, conv)
	if err != nil {
		return err
	}
	for left := c.Limit; ; {
		r := client.Range{FromSeq: from, OldestFirst: true, Limit: wire.MaxPageEntries, Strong: true}
		page, err := conv.History(ctx, r)
		if err != nil {
			return fmt.Errorf("read the history of %s: %w", c.Conversation, err)
		}
		for _, m := range page.Messages {
			if c.Limit > 0 && left == 0 {
				return nil
			}
			left--
			if err := e.printMessage(m, c.JSON); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		from = page.Next
	}
}

// first finds where the newest messages begin, going back page by page: not
// every message is for every reader.
func (c *messageListCmd) first(ctx context.Context, conv *client.Conversation) (wire.Seq, error) {
	if c.Limit == 0 {
		return 1, nil
	}
	var from wire.Seq
	for left := c.Limit; ; {
		page, err := conv.History(ctx, client.Range{FromSeq: from, Limit: min(left, wire.MaxPageEntries), Strong: true})
		if err != nil {
			return 0, fmt.Errorf("read the history of %s: %w", c.Conversation, err)
		}
		left -= len(page.Messages)
		if n := len(page.Messages); n > 0 {
			from = page.Messages[n-1].Seq
		}
		if left <= 0 || !page.More {
			return max(from, 1), nil
		}
		from = page.Next
	}
}

type messageTailCmd struct {
	connection
	Conversation string  `arg:"" help:"The conversation."`
	As           *string `help:"Who reads; without, the app does, with its master key." placeholder:"USER"`
	From         int64   `help:"Follow from this offset of the conversation's log; 0 is its beginning, without it only what is new is shown." default:"-1" placeholder:"OFFSET"`
	Messages     int     `help:"End after so many messages; 0: never." default:"0"`
	JSON         bool    `name:"json" help:"Print JSON."`
}

// Run follows.
func (c *messageTailCmd) Run(ctx context.Context, e *env) error {
	q, err := c.dial(ctx, e, c.As)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	from := client.FromEnd
	if c.From >= 0 {
		from = wire.Offset(c.From)
	}
	sub, err := q.Conversation(wire.ConversationID(c.Conversation)).Subscribe(ctx, from)
	if err != nil {
		return fmt.Errorf("follow %s: %w", c.Conversation, err)
	}
	defer sub.Close()
	e.say("following %s; Ctrl-C ends it", c.Conversation)
	for shown := 0; c.Messages == 0 || shown < c.Messages; {
		entry, err := sub.Next(ctx)
		if ctx.Err() != nil {
			return errEnded
		}
		if err != nil {
			return err
		}
		if entry.Message == nil {
			if !c.JSON {
				e.sayEntry(&entry)
			}
			continue
		}
		shown++
		if err := e.printMessage(*entry.Message, c.JSON); err != nil {
			return err
		}
	}
	return nil
}

// sayEntry tells a person of what is no message.
func (e *env) sayEntry(entry *client.Entry) {
	users := make([]string, len(entry.Users))
	for i, u := range entry.Users {
		users[i] = string(u)
	}
	who := strings.Join(users, ", ")
	switch entry.Kind {
	case client.EntryMembersAdded:
		e.say("-- %s joined", who)
	case client.EntryMembersRemoved:
		e.say("-- %s left", who)
	case client.EntryDestroyed:
		e.say("-- the conversation is gone")
	default:
	}
}
