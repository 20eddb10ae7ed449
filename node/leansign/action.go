package leansign

import (
	"slices"
	"strings"
)

// Verb is what a signature allows.
type Verb int

// The verbs.
const (
	Login                Verb = iota // open a session, or refresh it
	Start                            // start a conversation
	Invite                           // join a conversation, or add members
	Kick                             // remove members
	BlockClients                     // a conversation blocks users
	UnblockClients                   // and unblocks them
	BlockConversations               // a user blocks a conversation
	UnblockConversations             // and unblocks it
	History                          // read a conversation's messages over REST
)

// words returns the action words that may end a signed line, the documented one
// first; empty: there is none. The others are what versions of SDKs hand to the
// signers of apps, which sign what they are handed.
func (v Verb) words() []string {
	switch v {
	case Start:
		return []string{"", "create"}
	case Invite:
		return []string{"invite", "add", "join"}
	case Kick:
		return []string{"kick", "remove", "quit"}
	case BlockClients:
		return []string{"conversation-block-clients"}
	case UnblockClients:
		return []string{"conversation-unblock-clients"}
	case BlockConversations:
		return []string{"client-block-conversations"}
	case UnblockConversations:
		return []string{"client-unblock-conversations"}
	default:
		return []string{""}
	}
}

// namesMembers tells whether members stand in the line.
func (v Verb) namesMembers() bool {
	return v == Start || v == Invite || v == Kick || v == BlockClients || v == UnblockClients
}

// Action is what somebody wants to do.
type Action struct {
	Verb         Verb
	App          string
	Client       string   // who
	Conversation string   // as the client names it; empty for Login and Start
	Members      []string // as the client named them, in any order
	// Loose also accepts a start that is signed without its members, as one
	// chapter of the documentation has it: such a signature is as good as one for
	// a login.
	Loose bool
}

// lines lists what may have been signed, the documented form first.
func (a Action) lines(timestamp, nonce string) []string {
	var lines []string
	for _, members := range a.memberLists() {
		for _, word := range a.Verb.words() {
			lines = append(lines, a.line(members, word, timestamp, nonce))
		}
	}
	if a.Verb == History { // the guide has the nonce first, a published signer the time
		lines = append(lines, join(a.App, a.Client, a.Conversation, timestamp, nonce))
	}
	return lines
}

func (a Action) line(members, word, timestamp, nonce string) string {
	switch {
	case a.Verb == Login:
		return join(a.App, a.Client, "", timestamp, nonce)
	case a.Verb == History:
		return join(a.App, a.Client, a.Conversation, nonce, timestamp)
	case a.Verb == Start && word == "":
		return join(a.App, a.Client, members, timestamp, nonce)
	case a.Verb == Start:
		return join(a.App, a.Client, members, timestamp, nonce, word)
	default:
		return join(a.App, a.Client, a.Conversation, members, timestamp, nonce, word)
	}
}

// memberLists lists the ways in which the members may stand in the line.
func (a Action) memberLists() []string {
	if !a.Verb.namesMembers() {
		return []string{""}
	}
	sorted := slices.Sorted(slices.Values(a.Members))
	distinct := slices.Compact(slices.Clone(sorted))
	lists := [][]string{sorted, distinct}
	if a.Verb == Start {
		others := slices.DeleteFunc(slices.Clone(distinct), func(m string) bool { return m == a.Client })
		all := slices.Sorted(slices.Values(append(slices.Clone(others), a.Client)))
		lists = append(lists, others, all)
		if a.Loose {
			lists = append(lists, nil)
		}
	}
	var texts []string
	for _, list := range lists {
		if text := join(list...); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

func join(parts ...string) string { return strings.Join(parts, ":") }

// temporary is the one colon that an id may have: it marks a temporary
// conversation.
const temporary = "_tmp:"

// clear tells whether the parts can be told apart in a line: with a colon in an
// id or in the nonce, a signature for one action could be one for another, as an
// invitation for a start whose nonce ends in ":invite".
func (a Action) clear(nonce string) bool {
	if strings.Contains(nonce, ":") || strings.Contains(a.Client, ":") || strings.Contains(strings.TrimPrefix(a.Conversation, temporary), ":") {
		return false
	}
	return !slices.ContainsFunc(a.Members, func(m string) bool { return strings.Contains(m, ":") })
}
