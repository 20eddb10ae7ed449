package history

import (
	"time"

	"github.com/quorate/quorate/wire"
)

// Op says what an event is.
type Op string

// What clients call. The comments name the fields of Event that are set besides
// Client, User, Node, At, Until, Outcome and Error.
const (
	OpSignIn  Op = "sign-in"  // Text: the tag, if any
	OpSignOut Op = "sign-out" // the session ended; Text: why
	OpCreate  Op = "create"   // Conversation, Users, Text: kind
	OpDestroy Op = "destroy"  // Conversation
	OpSend    Op = "send"     // Conversation, Try, Message: body, targets, mentions; with OK also ID, Seq, Offset
	OpEdit    Op = "edit"     // Conversation, Message: ID, Seq, the new body
	OpRecall  Op = "recall"   // Conversation, Message: ID, Seq
	OpHistory Op = "history"  // Conversation, Page, Strong
	OpReadLog Op = "log"      // Conversation (empty: the user's own), Page
	OpFollow  Op = "follow"   // Conversation (empty: the user's own), Page: After; the subscription begins
	OpPush    Op = "push"     // Conversation, Page: one entry that a subscription handed out
	OpEnded   Op = "ended"    // Conversation, Page: Upto; a subscription has ended, Text: why
	OpOpen    Op = "open"     // Conversation, Page: Upto; where a subscription is at the end of the run
	OpMark    Op = "mark"     // Conversation, Cursor: how far to move, in State; waits until it is stored
	OpCursors Op = "cursors"  // Conversation, State: Cursors
	OpUnread  Op = "unread"   // Conversation, State: Unread
	OpJoin    Op = "join"     // Conversation, Users: the one who joins
	OpLeave   Op = "leave"    // Conversation, Users: the one who leaves
	OpAdd     Op = "add"      // Conversation, Users, Skipped
	OpRemove  Op = "remove"   // Conversation, Users, Skipped
	OpMute    Op = "mute"     // Conversation, Users, Skipped; Text "undo": of Unmute
	OpMembers Op = "members"  // Conversation, State: Members
	OpListed  Op = "listed"   // State: Members, of which User is a conversation here, with the offset of the user's joining
	OpEnter   Op = "enter"    // Conversation: a room
	OpExit    Op = "exit"     // Conversation: a room
)

// What the world tells.
const (
	OpNote  Op = "note"  // the nemesis: Node, Text
	OpLeads Op = "leads" // Node leads Shard in Term
	OpChain Op = "chain" // Node's chain is Hash at Index of Shard
	OpPhase Op = "phase" // Text: PhaseFaults, PhaseHealed, PhaseFinal
)

// The phases of a run, as Text of an OpPhase event.
const (
	PhaseFaults = "faults" // from here on the nemesis is at work
	PhaseHealed = "healed" // all faults are over
	PhaseFinal  = "final"  // the clients are quiet, and what is read from here on is the end
)

// Outcome says what is known of a call.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused" // it did not happen, and will not
	Unknown Outcome = "unknown" // it may have happened, or may yet
)

// Event is one thing that happened.
type Event struct {
	Op      Op            `json:"op"`
	At      time.Duration `json:"at"`              // when it began
	Until   time.Duration `json:"until,omitempty"` // when it ended; of what takes no time: At
	Outcome Outcome       `json:"outcome,omitempty"`
	Error   string        `json:"error,omitempty"` // the answer's code, or "" if there was none
	Client  string        `json:"client,omitempty"`
	User    wire.UserID   `json:"user,omitempty"`
	Node    wire.NodeID   `json:"node,omitempty"` // of a call: whose answer it was; else whom it concerns
	Text    string        `json:"text,omitempty"`

	Conversation wire.ConversationID `json:"conversation,omitempty"`
	Try          int                 `json:"try,omitempty"` // 1: asked again with the same token, and so on
	Strong       bool                `json:"strong,omitempty"`
	Users        []wire.UserID       `json:"users,omitempty"`
	Skipped      []wire.UserID       `json:"skipped,omitempty"`
	Message      *Message            `json:"message,omitempty"`
	Offset       wire.Offset         `json:"offset,omitempty"` // of a member change: where it stands in the log, if the answer says so
	Page         *Page               `json:"page,omitempty"`
	State        *State              `json:"state,omitempty"`
	Raft         *Raft               `json:"raft,omitempty"`
}

// Message is a message as it was sent, read or pushed.
type Message struct {
	ID       wire.MessageID `json:"id,omitempty"`
	Seq      wire.Seq       `json:"seq,omitempty"`
	Offset   wire.Offset    `json:"offset,omitempty"`
	From     wire.UserID    `json:"from,omitempty"`
	Time     int64          `json:"time,omitempty"` // milliseconds, of the cluster
	Body     string         `json:"body,omitempty"` // by Text; no other send or edit has it
	Edited   int64          `json:"edited,omitempty"`
	Recalled bool           `json:"recalled,omitempty"`
	Targets  []wire.UserID  `json:"targets,omitempty"`
	Mentions []wire.UserID  `json:"mentions,omitempty"` // Everybody: all
}

// EntryKind says what a log entry tells. It is a word, so that a trace can be
// read.
type EntryKind string

// The kinds of log entries that checkers look at.
const (
	EntryMessage   EntryKind = "message"
	EntryEdited    EntryKind = "edited"
	EntryRecalled  EntryKind = "recalled"
	EntryCreated   EntryKind = "created"
	EntryUpdated   EntryKind = "updated"
	EntryDestroyed EntryKind = "destroyed"
	EntryAdded     EntryKind = "added"
	EntryRemoved   EntryKind = "removed"
	EntryMuted     EntryKind = "muted"
	EntryUnmuted   EntryKind = "unmuted"
	EntryRole      EntryKind = "role"
	EntryJoined    EntryKind = "joined" // of a user log
	EntryLeft      EntryKind = "left"   // of a user log
	EntryOther     EntryKind = "other"
)

// Entry is one entry of a conversation's or user's log.
type Entry struct {
	Offset  wire.Offset   `json:"offset"`
	Kind    EntryKind     `json:"kind"`
	Actor   wire.UserID   `json:"actor,omitempty"`
	Users   []wire.UserID `json:"users,omitempty"`
	Message *Message      `json:"message,omitempty"` // of message, edited and recalled: as it is when it is read

	Conversation wire.ConversationID `json:"conversation,omitempty"` // of a user log's entry
	At           wire.Offset         `json:"at,omitempty"`           // of a user log's entry: where in the conversation's log
}

// Page is what was read or pushed: of a log everything that is for this user in
// (After, Upto], of a history some messages.
type Page struct {
	After   wire.Offset `json:"after,omitempty"`
	Upto    wire.Offset `json:"upto,omitempty"`
	Last    wire.Offset `json:"last,omitempty"` // the log's last offset, as far as was told
	Ended   bool        `json:"ended,omitempty"`
	Entries []Entry     `json:"entries,omitempty"`

	From        wire.Seq  `json:"from,omitempty"` // of a history: where it begins; 0: at the end of the direction
	Limit       int       `json:"limit,omitempty"`
	OldestFirst bool      `json:"oldest_first,omitempty"`
	More        bool      `json:"more,omitempty"`
	LastSeq     wire.Seq  `json:"last_seq,omitempty"`
	Messages    []Message `json:"messages,omitempty"`
}

// State is what was read of a conversation besides its log.
type State struct {
	Cursors []Cursor `json:"cursors,omitempty"`
	Unread  *Count   `json:"unread,omitempty"`
	Members []Member `json:"members,omitempty"`
}

// Cursor is how far a user has read, and received.
type Cursor struct {
	User      wire.UserID `json:"user"`
	Read      wire.Seq    `json:"read"`
	Delivered wire.Seq    `json:"delivered,omitempty"`
}

// Count is what a user was told to be unread.
type Count struct {
	Count     uint64   `json:"count"`
	Mentioned bool     `json:"mentioned,omitempty"`
	Read      wire.Seq `json:"read"`
	Last      wire.Seq `json:"last"`
}

// Member is a member, or in a user's list a conversation.
type Member struct {
	User     string      `json:"user"`
	JoinedAt wire.Offset `json:"joined_at"`
	Role     int         `json:"role,omitempty"`
}

// Raft is what a replica told of itself.
type Raft struct {
	Shard wire.ShardID `json:"shard"`
	Term  uint64       `json:"term,omitempty"`
	Index uint64       `json:"index,omitempty"`
	Hash  uint64       `json:"hash,omitempty"`
}

// Replica is what one replica was at the end of the run, when all had stopped
// changing.
type Replica struct {
	Node          wire.NodeID   `json:"node"`
	Shard         wire.ShardID  `json:"shard"`
	Applied       uint64        `json:"applied"`
	Chain         uint64        `json:"chain"`
	Conversations []Log         `json:"conversations,omitempty"`
	Checkpoints   []Checkpoint  `json:"checkpoints,omitempty"`
	Users         []UserReplica `json:"users,omitempty"`
}

// Checkpoint is a replica's chain at an index of its log.
type Checkpoint struct {
	Index uint64 `json:"index"`
	Chain uint64 `json:"chain"`
}

// Log is a conversation as one replica has it, with its whole log: nothing is
// left out because of who reads.
type Log struct {
	Conversation wire.ConversationID `json:"conversation"`
	LastSeq      wire.Seq            `json:"last_seq"`
	LastOffset   wire.Offset         `json:"last_offset"`
	Entries      []Entry             `json:"entries"`  // offsets 1 to LastOffset
	Messages     []Message           `json:"messages"` // sequences 1 to LastSeq
	Members      []Member            `json:"members"`
	Cursors      []Cursor            `json:"cursors,omitempty"`
	Kind         string              `json:"kind,omitempty"` // "basic", "room", "temporary", "system"; empty: basic
}

// UserReplica is a user's list of conversations as one replica has it.
type UserReplica struct {
	User          wire.UserID `json:"user"`
	Conversations []Member    `json:"conversations"`
}
