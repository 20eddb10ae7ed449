package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/wire"
)

// Scenario is one kind of load.
type Scenario interface {
	// Validate says everything that is wrong with what is asked for.
	Validate() error
	// Run sets up, offers the load and measures. It fails if there is nothing to
	// report; what failed under the load is in the report.
	Run(ctx context.Context, t Target) (Report, error)
}

// Target is the cluster that the load is for.
type Target struct {
	Servers []string // each connection begins at another one
	App     wire.AppID
	Key     string
	TLS     *tls.Config

	// Usage and Memory ask every node, in one order; nil: what they would tell is
	// not measured. Memory has them collect garbage first.
	Usage  func(ctx context.Context) ([]node.Usage, error)
	Memory func(ctx context.Context) ([]node.Memory, error)

	// ProbeDir is a directory on the disk of the nodes. Empty: not known.
	ProbeDir string
	// Progress is told sentences for people. Nil: nobody is.
	Progress func(format string, args ...any)
}

// setupTimeout bounds how long sessions and conversations may take to be made.
const setupTimeout = 10 * time.Minute

func (t Target) say(format string, args ...any) {
	if t.Progress != nil {
		t.Progress(format, args...)
	}
}

// dial signs a user in; connection i begins at another server than i+1.
func (t Target) dial(ctx context.Context, i int, user wire.UserID, more ...func(*client.Options)) (*client.Client, error) {
	first := i % len(t.Servers)
	o := client.Options{
		Servers: slices.Concat(t.Servers[first:], t.Servers[:first]), App: t.App, Key: t.Key, TLS: t.TLS, User: user,
		Agent: "quorate-bench", AttemptTimeout: 10 * time.Second,
	}
	for _, change := range more {
		change(&o)
	}
	return client.Dial(ctx, o)
}

// newName is a name that no run before has had, for its users.
func newName() string { return "bench-" + strings.ToLower(rand.Text()[:8]) }

// userOf is one of a run's users.
func userOf(run string, i int) wire.UserID { return wire.UserID(fmt.Sprintf("%s-%d", run, i)) }

// each does work for 0 to n−1, some at once. After an error no more is begun.
func each(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(atOnce, n) {
		all.Go(func() {
			for i := int(next.Add(1) - 1); i < n && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// closeAll closes clients, some at once; a nil one is skipped.
func closeAll(clients []*client.Client) {
	_ = each(context.Background(), len(clients), 64, func(_ context.Context, i int) error {
		if clients[i] != nil {
			_ = clients[i].Close()
		}
		return nil
	})
}

// openAll opens clients for users 0 to n−1 of a run. All that are open are
// returned with an error too.
func (t Target) openAll(ctx context.Context, run string, n int, more ...func(*client.Options)) ([]*client.Client, error) {
	clients := make([]*client.Client, n)
	err := each(ctx, n, 64, func(ctx context.Context, i int) (err error) {
		if clients[i], err = t.dial(ctx, i, userOf(run, i), more...); err != nil {
			err = fmt.Errorf("connection %d: %w", i, err)
		}
		return err
	})
	return clients, err
}

// group makes a conversation with members, however many.
func group(ctx context.Context, c *client.Client, id wire.ConversationID, members []wire.UserID) (*client.Conversation, error) {
	first := members[:min(len(members), wire.MaxMembersAdded)]
	info, err := c.Create(ctx, client.NewConversation{ID: id, Name: "bench", Members: first})
	if err != nil {
		return nil, fmt.Errorf("create a conversation: %w", err)
	}
	conv := c.Conversation(info.ID)
	for more := range slices.Chunk(members[len(first):], wire.MaxMembersAdded) {
		skipped, err := conv.Add(ctx, more...)
		if err == nil && len(skipped) > 0 {
			err = errors.New("members were not added")
		}
		if err != nil {
			return nil, fmt.Errorf("add members: %w", err)
		}
	}
	return conv, nil
}
