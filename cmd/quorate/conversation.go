package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

type conversationCmd struct {
	Create conversationCreateCmd `cmd:"" help:"Create a conversation and print its id."`
	Show   conversationShowCmd   `cmd:"" help:"Show a conversation."`
}

// callTimeout bounds a command that asks for one thing.
const callTimeout = 30 * time.Second

// kinds are the kinds of conversation, by the names of the command line.
//
//nolint:gochecknoglobals // a lookup table
var kinds = map[string]client.Kind{"basic": client.Basic, "room": client.Room, "system": client.System, "temporary": client.Temporary}

type conversationCreateCmd struct {
	connection
	As      string   `required:"" help:"Who creates it." placeholder:"USER"`
	Members []string `help:"Who else is in it, separated by commas." placeholder:"USER"`
	Name    string   `help:"Its name."`
	Kind    string   `help:"basic, room, system or temporary." enum:"basic,room,system,temporary" default:"basic"`
	Unique  bool     `help:"Find the conversation of exactly these members, or create it."`
	JSON    bool     `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (conversationCreateCmd) Help() string {
	return "Example: quorate conversation create --as tom --members jerry,mary --name 'Tea at five'"
}

// Run creates the conversation.
func (c *conversationCreateCmd) Run(ctx context.Context, e *env) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	q, err := c.dialAs(ctx, e, c.As)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	n := client.NewConversation{Kind: kinds[c.Kind], Name: c.Name, Unique: c.Unique}
	for _, m := range c.Members {
		if m = strings.TrimSpace(m); m != "" {
			n.Members = append(n.Members, wire.UserID(m))
		}
	}
	made, err := q.Create(ctx, n)
	if err != nil {
		return fmt.Errorf("create the conversation: %w", err)
	}
	info, err := q.Conversation(made.ID).Get(ctx, wire.MaxPageEntries)
	if err != nil {
		return fmt.Errorf("read the conversation %s: %w", made.ID, err)
	}
	return e.printConversation(info, c.JSON)
}

type conversationShowCmd struct {
	connection
	ID   string  `arg:"" help:"The conversation."`
	As   *string `help:"Who reads; without, the app does, with its master key." placeholder:"USER"`
	JSON bool    `name:"json" help:"Print JSON."`
}

// Run shows the conversation.
func (c *conversationShowCmd) Run(ctx context.Context, e *env) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	q, err := c.dial(ctx, e, c.As)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	info, err := q.Conversation(wire.ConversationID(c.ID)).Get(ctx, wire.MaxPageEntries)
	if err != nil {
		return fmt.Errorf("read the conversation %s: %w", c.ID, err)
	}
	return e.printConversation(info, c.JSON)
}

// conversationJSON is a conversation as scripts read it.
type conversationJSON struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Kind        string   `json:"kind"`
	Creator     string   `json:"creator"`
	Members     []string `json:"members"`
	MemberCount int      `json:"member_count"`
	LastSeq     uint64   `json:"last_seq"`
	LastOffset  uint64   `json:"last_offset"`
	CreatedAt   string   `json:"created_at"`
	Existed     bool     `json:"existed,omitempty"`
}

func (e *env) printConversation(info *client.Info, asJSON bool) error {
	out := conversationJSON{
		ID: string(info.ID), Name: info.Name, Creator: string(info.Creator), Members: []string{}, MemberCount: info.MemberCount,
		LastSeq: uint64(info.LastSeq), LastOffset: uint64(info.LastOffset), CreatedAt: info.Created.UTC().Format(time.RFC3339Nano),
		Existed: info.Existed,
	}
	for name, k := range kinds {
		if k == info.Kind {
			out.Kind = name
		}
	}
	for _, m := range info.Members {
		out.Members = append(out.Members, string(m))
	}
	if asJSON {
		return e.printJSON(out)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, out.ID)
	fmt.Fprintf(w, "name\t%s\nkind\t%s\nmembers\t%s\nmessages\t%d\ncreated\t%s\n",
		out.Name, out.Kind, strings.Join(out.Members, ", "), out.LastSeq, out.CreatedAt)
	return w.Flush()
}
