package ask

import (
	"slices"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// MaxSynced is how many conversations one question is about.
const MaxSynced = 2000

// Sync asks, as a user, what happened in his conversations while he was away.
type Sync struct {
	Conversations []wire.ConversationID `json:"conversations"`
	Unread        *SyncUnread           `json:"unread,omitempty"`
	Changed       *SyncChanged          `json:"changed,omitempty"`
	Missed        *SyncMissed           `json:"missed,omitempty"`
}

// SyncUnread asks for what is not read.
type SyncUnread struct {
	Since int64 `json:"since,omitempty"` // only what has changed after this time, in milliseconds since 1970; 0: whatever is not 0
	All   bool  `json:"all,omitempty"`   // whatever is not 0, too
}

// SyncChanged asks for messages that were edited or recalled.
type SyncChanged struct {
	Since int64 `json:"since"` // after this time, in milliseconds since 1970
}

// SyncMissed asks for messages that a device was not handed: the newest ones of
// others.
type SyncMissed struct {
	Device string `json:"device"`
	Limit  int    `json:"limit"` // of each conversation
}

// Synced is one state for each conversation of the question, in its order.
type Synced struct {
	Conversations []State `json:"conversations"`
}

// State is where a conversation stands for the asker.
type State struct {
	Conversation wire.ConversationID `json:"conversation"`
	Refusal      state.Refusal       `json:"refusal,omitempty"` // he may not read it: nothing else is said
	Preset       state.Preset        `json:"preset,omitempty"`
	Offset       wire.Offset         `json:"offset,omitempty"` // everything is known up to here
	Seq          wire.Seq            `json:"seq,omitempty"`    // the last message
	Read         wire.Seq            `json:"read,omitempty"`   // with SyncUnread: the last one that the asker has read

	// With SyncUnread.
	Told      bool           `json:"told,omitempty"` // the asker is to be told: his unread state is not 0, or has changed
	Unread    uint64         `json:"unread,omitempty"`
	Mentioned bool           `json:"mentioned,omitempty"`
	Newest    *state.Message `json:"newest,omitempty"` // the newest message that is for him, if he is to be told

	Changed []*state.Message `json:"changed,omitempty"` // with SyncChanged: as they are now, in the order of the changes
	Missed  []*state.Message `json:"missed,omitempty"`  // with SyncMissed: in the order of the log
}

// syncTries is how often a conversation is read anew that changed meanwhile. The
// last try stands: what came in between is told twice rather than not at all.
const syncTries = 5

func (q *Sync) answer(e executor, a *Answer) error {
	switch {
	case e.user == "":
		return wire.Errorf(wire.CodeInvalid, "", "the app is nobody who was away")
	case len(q.Conversations) > MaxSynced:
		return wire.Errorf(wire.CodeLimit, "", "%d conversations, want at most %d", len(q.Conversations), MaxSynced)
	}
	a.Sync = &Synced{Conversations: make([]State, len(q.Conversations))}
	for i, id := range q.Conversations {
		s := &a.Sync.Conversations[i]
		err := q.state(e, id, s)
		if r := refusal(err); r != state.None {
			*s = State{Refusal: r}
		} else if err != nil {
			return err
		}
		s.Conversation = id
	}
	return nil
}

// state reads a conversation at one moment: again, if its log grew meanwhile.
func (q *Sync) state(e executor, id wire.ConversationID, s *State) error {
	for try := 1; ; try++ {
		*s = State{}
		access, err := e.st.CanRead(e.app, id, e.user)
		if err != nil {
			return err
		}
		s.Preset, s.Offset, s.Seq = access.Policy.Preset, access.Last, access.LastSeq
		if err := q.read(e, id, &access, s); err != nil {
			return err
		}
		after, err := e.st.Last(state.LogKey{App: e.app, Conversation: id})
		if err != nil || after.Last == s.Offset || try == syncTries {
			return err
		}
	}
}

func (q *Sync) read(e executor, id wire.ConversationID, a *state.Access, s *State) error {
	if q.Unread != nil && a.Policy.Unread {
		if err := q.Unread.read(e, id, s); err != nil {
			return err
		}
	}
	if q.Changed != nil {
		if err := q.Changed.read(e, id, a, s); err != nil {
			return err
		}
	}
	if q.Missed != nil && a.Policy.Unread {
		return q.Missed.read(e, id, a, s)
	}
	return nil
}

// read says what the asker has not read, and whether that is news to him.
func (q *SyncUnread) read(e executor, id wire.ConversationID, s *State) error {
	unread, err := e.st.Unread(e.app, id, e.user)
	if err != nil {
		return err
	}
	s.Unread, s.Mentioned, s.Read = unread.Count, unread.Mentioned, unread.Read
	if s.Told, err = q.news(e, id, s); err != nil || !s.Told {
		return err
	}
	newest, err := e.st.History(state.HistoryQuery{App: e.app, Conversation: id, Reader: e.user, Limit: 1})
	if err == nil && len(newest.Messages) > 0 {
		s.Newest = newest.Messages[0]
	}
	return err
}

// news tells whether what is unread has changed since the time asked about: with
// a message, with the cursor, or with a recall.
func (q *SyncUnread) news(e executor, id wire.ConversationID, s *State) (bool, error) {
	if q.Since == 0 || q.All && s.Unread > 0 {
		return s.Unread > 0, nil
	}
	if s.Unread > 0 {
		c, err := e.st.Conversation(e.app, id)
		if err != nil || c.LastMessage > q.Since {
			return true, err
		}
	}
	cursors, err := e.st.Cursors(e.app, id, e.user, maxCursors)
	if err != nil {
		return false, err
	}
	for _, c := range cursors {
		if c.User == e.user && c.ReadStamp > q.Since {
			return true, nil
		}
	}
	recalls, err := e.st.LogSince(e.app, id, q.Since, 1, state.EntryRecalled)
	return len(recalls) > 0, err
}

// maxChanges is how many changes of one conversation are looked at, the newest
// ones.
const maxChanges = 1000

// read finds the messages that were changed, each once.
func (q *SyncChanged) read(e executor, id wire.ConversationID, a *state.Access, s *State) error {
	entries, err := e.st.LogSince(e.app, id, q.Since, maxChanges, state.EntryEdited, state.EntryRecalled)
	if err != nil {
		return err
	}
	s.Changed = nil
	for i, entry := range entries {
		if entry.Kind != state.EntryEdited && entry.Kind != state.EntryRecalled || entry.Message == nil || entry.For(e.user, &a.Policy) == nil {
			continue
		}
		again := func(later *state.Entry) bool { return later.Target == entry.Target }
		if m := entry.Message; m.Seq > a.AfterSeq && m.Edited > q.Since && !slices.ContainsFunc(entries[i+1:], again) {
			s.Changed = append(s.Changed, m)
		}
	}
	return nil
}

// missedLook is how many messages are looked at for each that was missed: others
// are the asker's own.
const missedLook = 5

// read finds the newest messages of others that the device was not handed.
func (q *SyncMissed) read(e executor, id wire.ConversationID, a *state.Access, s *State) error {
	handed, err := e.st.DeviceCursor(e.app, id, e.user, q.Device)
	if err != nil {
		return err
	}
	unread, err := e.st.Unread(e.app, id, e.user)
	if err != nil {
		return err
	}
	after := max(handed, unread.Read, a.AfterSeq)
	if q.Limit <= 0 || after >= a.LastSeq {
		return nil
	}
	page, err := e.st.History(state.HistoryQuery{App: e.app, Conversation: id, Reader: e.user, Upto: after + 1, Limit: q.Limit * missedLook})
	if err != nil {
		return err
	}
	s.Missed = nil
	for _, m := range page.Messages {
		if m.From != e.user && len(s.Missed) < q.Limit {
			s.Missed = append(s.Missed, m)
		}
	}
	slices.Reverse(s.Missed)
	return nil
}
