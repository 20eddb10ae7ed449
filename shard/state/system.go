package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Services: how an app speaks to its users, and they to it.
//
// A service is a conversation of [PresetSystem]. Its members are its
// subscribers; what the app says in it is for all of them.
//
// What one user and a service say to each other is a conversation of its own, a
// thread of [PresetThread], whose only member is the user. Its id is made of the
// service's and the user's, see [ThreadOf], so that nobody has to look it up and
// everybody can tell of which service it is. It is made when the first of the two
// speaks; the user need not be subscribed. Being a member, he finds it in his user
// log as any other conversation, and follows it, reads it and has unread counts in
// it by the same code. No other user may read it, and nobody but the app makes,
// joins or leaves one.
//
// What is for every user of the app stands in one conversation of the app, the
// [BroadcastLog] of [PresetBroadcast]. It stores no members, so anybody may follow
// it. Each of its messages is wrapped, see [Broadcast]: it says as which service it
// speaks, and until when it is news for those who come later. Since nobody is a
// member, the places that a user has in it, one for each service, are rows of his
// own, see [PlaceBroadcasts]; the first of them says where his time began.
//
// A user's view of a service is all of it together: the service's own log, his
// thread and the service's broadcasts, by time and id. Who shows it merges the
// three, which lie in different slots, when it is read.

// The presets of conversations that only the app makes, beside [PresetSystem].
const (
	PresetThread    Preset = 5 // what a user and a service say to each other
	PresetBroadcast Preset = 6 // what the app says to all of its users
)

// BroadcastLog is the conversation of an app in which broadcasts stand.
const BroadcastLog wire.ConversationID = reservedMark + "broadcast"

const (
	// reservedMark is in the ids of threads and of the broadcasts' conversation, and
	// in no other.
	reservedMark = "~"
	// threadChars is how much of a thread's id is made of the user.
	threadChars = 20
)

// ThreadOf returns the id of the thread of a user with a service:
//
//	| service | ~ | beginning of the SHA-256 of the user in hex, 20 |
//
// It is false of a service whose id leaves no room for that.
func ThreadOf(service wire.ConversationID, user wire.UserID) (wire.ConversationID, bool) {
	if len(service) == 0 || len(service)+len(reservedMark)+threadChars > wire.MaxIDBytes || isReserved(service) {
		return "", false
	}
	sum := sha256.Sum256([]byte(user))
	return service + reservedMark + wire.ConversationID(hex.EncodeToString(sum[:])[:threadChars]), true
}

// ServiceOf returns the service of which a conversation is a thread, as its id
// says; false: it is no thread.
func ServiceOf(id wire.ConversationID) (wire.ConversationID, bool) {
	service, rest, ok := strings.Cut(string(id), reservedMark)
	return wire.ConversationID(service), ok && service != "" && len(rest) == threadChars
}

// isReserved tells whether an id is one that only threads and broadcasts have.
func isReserved(id wire.ConversationID) bool { return strings.Contains(string(id), reservedMark) }

// ofApp tells whether only the app makes conversations of the preset.
func (p Preset) ofApp() bool { return p == PresetSystem || p == PresetThread || p == PresetBroadcast }

// fits tells whether a conversation of the preset may have the id.
func (p Preset) fits(id wire.ConversationID) bool {
	switch p {
	case PresetThread:
		_, ok := ServiceOf(id)
		return ok
	case PresetBroadcast:
		return id == BroadcastLog
	default:
		return !isReserved(id)
	}
}

// appPolicy returns the policy of threads and of broadcasts.
func appPolicy(p Preset) (Policy, bool) {
	switch p {
	case PresetThread:
		return Policy{
			Preset: PresetThread, Members: true, Store: true, Past: true, Unread: true, Lowered: true, Ranked: true,
			Speak: WhoMember, Limits: Limits{MemberLimit: 1},
		}, true
	case PresetBroadcast:
		return Policy{Preset: PresetBroadcast, Store: true, Past: true}, true
	default:
		return Policy{}, false
	}
}

// BroadcastContent is the content type of a wrapped broadcast.
const BroadcastContent = "quorate/broadcast"

// Broadcast is what a message in the broadcasts' conversation says beside itself.
type Broadcast struct {
	Service   wire.ConversationID // as which it is shown
	ValidTill int64               // milliseconds since 1970: who comes later is not told; 0: everybody is
}

const broadcastVersion = 1

// WrapBroadcast puts what a broadcast says into the body of its message, beside
// the body and the content type that it is shown with:
//
//	| version, 1 | service | valid till | content type | body |
func WrapBroadcast(b Broadcast, contentType string, body []byte) []byte {
	out := bin.AppendString([]byte{broadcastVersion}, b.Service)
	out = bin.AppendUvarint(out, uint64(max(b.ValidTill, 0)))
	out = bin.AppendString(out, contentType)
	return append(out, body...)
}

// UnwrapBroadcast returns what a message in the broadcasts' conversation says,
// and the message as it is to be shown. One that was recalled or deleted says
// nothing.
func UnwrapBroadcast(m *Message) (Broadcast, *Message, error) {
	if m.ContentType != BroadcastContent {
		return Broadcast{}, nil, fmt.Errorf("unwrap message %d: its content type is %q", m.Seq, m.ContentType)
	}
	in := bin.NewReader(m.Body)
	checkVersion(in, broadcastVersion)
	b := Broadcast{Service: readID[wire.ConversationID](in), ValidTill: int64(in.Uvarint())}
	shown := *m
	shown.ContentType, shown.Body = in.String(), in.Rest()
	if len(shown.ContentType) > maxContentType || b.ValidTill < 0 {
		in.Fail(bin.ErrRange)
	}
	if err := in.Close(); err != nil {
		return Broadcast{}, nil, fmt.Errorf("unwrap message %d: %w", m.Seq, err)
	}
	return b, &shown, nil
}
