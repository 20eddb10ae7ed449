package door

import (
	"context"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Host is the node that a door stands in. Its methods may be called from any
// goroutine.
type Host interface {
	Apps
	Log
	Presence

	// Self is the node's id, for the origin of commands.
	Self() wire.NodeID
	// Place names this life of the node, for what sessions leave behind: a node
	// that starts again is in another place.
	Place() string
	// Millis is the node's wall time in milliseconds since 1970.
	Millis() int64
	// ClientURLs lists the base URLs (http or https) of the nodes that serve
	// clients, this node's first, and last those that seem to be down.
	ClientURLs() []string
	// Go runs a task in a goroutine that the node waits for when it stops. ctx
	// ends with the node.
	Go(task func(ctx context.Context))
}

// Apps knows the tenants.
type Apps interface {
	// App returns an app; false: there is none. A node that does not know it asks
	// the meta group first.
	App(ctx context.Context, id wire.AppID) (cluster.App, bool, error)
}

// Log changes and reads what is stored.
type Log interface {
	// Submit brings a command to the leader of its subject's shard. Commands that
	// are submitted one after another for one subject arrive in that order. done
	// is called once, from any goroutine, and must not block; a refusal is a
	// result, the error is a *wire.Error and means that the outcome is not known
	// unless its code says that nothing was done.
	Submit(h state.Header, c state.Command, done func(state.Result, error))
	// Change is Submit for who waits.
	Change(ctx context.Context, h state.Header, c state.Command) (state.Result, error)
	// Unique finds or makes the conversation of exactly these members, of which
	// the actor is one. The create has no id.
	Unique(ctx context.Context, h state.Header, create *state.CreateConversation) (state.Result, error)

	// Ask asks the shard of a root, a conversation or a user, with a strong read:
	// the answer knows whatever was acknowledged before. A refusal is a
	// *state.RefusedError, anything else a *wire.Error.
	Ask(ctx context.Context, app wire.AppID, user wire.UserID, root string, r *ask.Request) (*ask.Answer, error)
	// Divide divides roots by their shards.
	Divide(app wire.AppID, roots []string) [][]string
	// AskAll asks every shard, and returns their answers in no order, without
	// those of shards that did not answer: then the error says so.
	AskAll(ctx context.Context, app wire.AppID, user wire.UserID, r *ask.Request) ([]*ask.Answer, error)

	// Follow asks to follow a log, and Unfollow ends it; see [tail.Edge].
	Follow(r tail.Request) (*tail.Subscription, error)
	Unfollow(s *tail.Subscription)
	// Signal sends a transient message to who follows the conversation, if the
	// sender may speak there. done is called once and must not block.
	Signal(s Signal, done func(error))
}

// Signal is a transient message: told to who is there, never stored.
type Signal struct {
	App          wire.AppID
	Conversation wire.ConversationID
	From         wire.UserID // empty: the app, whose message may be from anybody
	Origin       state.Origin
	Message      *state.Message // without a place in the log, and without an id unless it is Imported
}

// Presence knows who is there.
type Presence interface {
	// Opened and Closed tell the node of a session, by its unique name: while it
	// is open its user counts as there. A session that ends without a logout is
	// reported to the user's shard, and so is the loss of the whole node.
	Opened(s Session)
	Closed(s Session, clean bool)
	// Online returns those of the users who have a session on any node.
	Online(ctx context.Context, app wire.AppID, users []wire.UserID) ([]wire.UserID, error)
	// Present says how many users follow a conversation's log now, on all nodes,
	// and names at most limit of them.
	Present(ctx context.Context, app wire.AppID, id wire.ConversationID, limit int) (Presents, error)
}

// Presents is who follows a conversation now.
type Presents struct {
	Count int
	Users []wire.UserID // some of them
}

// Session is one session of a user on this node.
type Session struct {
	App     wire.AppID
	User    wire.UserID
	Name    string // unique in the cluster: 24 hex digits
	Tag     string // that it holds; empty: none
	HasWill bool   // it left the user's will
	InRoom  bool   // it is in the user's chat room

	// Doubt is called when the node was away from the user's shard for so long that
	// the session may have been taken for lost, and its tag with it: the door asks,
	// until there is an answer, whether it still holds it. It must not block. Nil:
	// nobody is told.
	Doubt func()
}
