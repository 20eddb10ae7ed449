package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
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

	// MasterKey signs in as the app itself, for what no user may do. Empty: that is
	// not measured.
	MasterKey string
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

// quietTimeout bounds how long the nodes are waited for until they have done what
// was asked of them before, and memoryTimeout one question to all of them, which
// collect garbage first.
const (
	quietTimeout  = 5 * time.Minute
	memoryTimeout = 30 * time.Second
)

// quiet waits until the nodes have applied nothing for a while: what members are
// told of their conversations comes after the answers.
func (t Target) quiet(ctx context.Context, settle time.Duration) ([]node.Memory, error) {
	ctx, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	applied := func(m node.Memory) float64 { return float64(m.Applied) }
	for before := -1.0; ; {
		memory, err := t.memory(ctx)
		if err != nil {
			return nil, err
		}
		now := sum(memory, applied)
		if now == before {
			return memory, nil
		}
		before = now
		if err := clock.Sleep(ctx, settle); err != nil {
			return nil, fmt.Errorf("wait until the nodes are quiet: %w", err)
		}
	}
}

func (t Target) memory(ctx context.Context) ([]node.Memory, error) {
	ctx, cancel := context.WithTimeout(ctx, memoryTimeout)
	defer cancel()
	memory, err := t.Memory(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the nodes what they take: %w", err)
	}
	return memory, nil
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

// asApp signs in as the app itself.
func (t Target) asApp(o *client.Options) { o.User, o.Key, o.MasterKey = "", "", t.MasterKey }

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

// largestGroup is how many members a basic conversation may have. Larger groups
// are system conversations: users are members of them and only the app speaks.
const largestGroup = 500

// kindOf is the kind of a group with so many members.
func kindOf(members int) client.Kind {
	if members > largestGroup {
		return client.System
	}
	return client.Basic
}

// group makes a conversation with members, however many.
func group(ctx context.Context, c *client.Client, n client.NewConversation) (*client.Conversation, error) {
	members := n.Members
	n.Name, n.Members = "bench", members[:min(len(members), wire.MaxMembersAdded-1)] // the creator is one too
	info, err := c.Create(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("create a conversation: %w", err)
	}
	conv := c.Conversation(info.ID)
	for more := range slices.Chunk(members[len(n.Members):], wire.MaxMembersAdded) {
		skipped, err := conv.Add(ctx, more...)
		if err == nil && len(skipped) > 0 {
			err = skipped[0].Err
		}
		if err != nil {
			return nil, fmt.Errorf("add members: %w", err)
		}
	}
	return conv, nil
}

// makeGroups makes conversations: i by client i modulo the number of clients.
func (t Target) makeGroups(ctx context.Context, clients []*client.Client, n int, what func(i int) client.NewConversation) ([]*client.Conversation, error) {
	all := make([]*client.Conversation, n)
	err := each(ctx, n, 256, func(ctx context.Context, i int) (err error) {
		all[i], err = group(ctx, clients[i%len(clients)], what(i))
		return err
	})
	return all, err
}

// openSenders opens connections for groups with so many members: of users, or of
// the app where only that may speak.
func (t Target) openSenders(ctx context.Context, run string, n, members int, more ...func(*client.Options)) ([]*client.Client, error) {
	more = append(more, manyPending)
	if kindOf(members) == client.Basic {
		return t.openAll(ctx, run, n, more...)
	}
	if t.MasterKey == "" {
		return nil, fmt.Errorf("groups of more than %d members are the app's own: give its master key", largestGroup)
	}
	return t.openAll(ctx, run, n, append(more, t.asApp)...)
}

// newGroup is a group with one member more than those: who makes it, or, of the
// app's own, a user.
func newGroup(run string, members int) client.NewConversation {
	others := members - 1
	if kindOf(members) == client.System {
		others = members
	}
	users := make([]wire.UserID, others)
	for i := range users {
		users[i] = userOf(run+"-m", i)
	}
	return client.NewConversation{Kind: kindOf(members), Members: users}
}
