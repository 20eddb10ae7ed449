package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate/quorate/bench/lean"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// Dialect is the protocol that a measurement's clients speak while it is
// measured. What it needs, they make in the native one.
type Dialect string

// The dialects. The zero value is the native one.
const (
	Native      Dialect = "native"
	LeanMessage Dialect = "leanmessage"
)

func (d Dialect) check(c *checks) {
	c.that(d == "" || d == Native || d == LeanMessage, "the dialect %q, want %q or %q", string(d), string(Native), string(LeanMessage))
}

// dialLean signs a user in; connection i begins at another server than i+1.
func (t Target) dialLean(ctx context.Context, i int, user wire.UserID, heard func(*leanpb.DirectCommand)) (*lean.Conn, error) {
	return lean.Dial(ctx, lean.Options{
		Server: t.Servers[i%len(t.Servers)], App: string(t.App), User: string(user), TLS: t.TLS, Heard: heard,
	})
}

// openLeans opens a connection of the dialect for the user of each client, and
// has it send what the client's lane sends.
func (t Target) openLeans(ctx context.Context, clients []*client.Client, lanes []sendLane) ([]*lean.Conn, error) {
	conns := make([]*lean.Conn, len(clients))
	err := each(ctx, len(clients), 64, func(ctx context.Context, i int) (err error) {
		user := clients[i].User()
		if user == "" {
			return errors.New("the app itself does not speak the LeanMessage dialect: groups may have no more members than users may speak in")
		}
		if conns[i], err = t.dialLean(ctx, i, user, nil); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		for _, o := range lanes[i].convs {
			o.via = conns[i]
		}
		return nil
	})
	return conns, err
}

// closeLeans closes connections, some at once; a nil one is skipped.
func closeLeans(conns []*lean.Conn) {
	_ = each(context.Background(), len(conns), 64, func(_ context.Context, i int) error {
		if conns[i] != nil {
			_ = conns[i].Close()
		}
		return nil
	})
}
