package wire

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the class of an error. A client decides what to do next from the
// Code alone; the text is for people.
//
// Codes are part of the protocol: add at the end, never renumber.
type Code uint8

// The codes, each with what a client should make of it.
const (
	CodeInternal        Code = iota // our bug or our disk; the zero Code, so that a forgotten one is loud
	CodeInvalid                     // this request can never succeed as it stands
	CodeNotFound                    // no such conversation or message
	CodeNotMember                   // the user is not in the conversation
	CodeNotLeader                   // ask the node in Error.Leader instead
	CodeUnavailable                 // no quorum, or too busy, or outcome unknown: ask again later with the same token
	CodeUnauthenticated             // the sign-in is missing, wrong or expired: sign in again
	CodeForbidden                   // the user's role or the conversation's policy does not allow it
	CodeExists                      // there is one already
	CodeGone                        // it was there and was destroyed or expired; its id is not used again
	CodeLimit                       // a limit of size, count or rate; not before Error.RetryAfter, if that is set
	CodeStorageFull                 // the disk is nearly full: reads go on, writes wait for an operator
	CodeStaleRoute                  // the sender's slot map is old: fetch it and ask again
	CodeStartOver                   // the position is not in the log any more: read from the present state
	CodeTooOld                      // the retry is older than the token window: whether it was done is not known any more
	CodeConflict                    // another device or session holds it
	CodeMuted                       // the user or the conversation may not speak now
	CodeClosed                      // the session or the node is closing: connect again, to another node
	codeEnd                         // below it are all codes
)

//nolint:gochecknoglobals // a lookup table
var codeNames = [codeEnd]string{
	"internal", "invalid", "not_found", "not_member", "not_leader", "unavailable", "unauthenticated", "forbidden",
	"exists", "gone", "limit", "storage_full", "stale_route", "start_over", "too_old", "conflict", "muted", "closed",
}

func (c Code) String() string {
	if c < codeEnd {
		return codeNames[c]
	}
	return fmt.Sprintf("code_%d", uint8(c))
}

// Retryable tells whether the same request, with the same token, may succeed
// when asked again unchanged.
func (c Code) Retryable() bool {
	switch c {
	case CodeNotLeader, CodeUnavailable, CodeStaleRoute, CodeClosed, CodeStorageFull:
		return true
	default:
		return false
	}
}

// Error is the one error type that crosses a connection.
type Error struct {
	Code   Code
	Op     string // what was asked for, as "message.send"
	Text   string // for people; never parsed
	Leader NodeID // where to go, with CodeNotLeader; empty when unknown
	Err    error  // the cause, kept on this side of the connection
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	b.WriteString(e.Code.String())
	if e.Text != "" {
		b.WriteString(": ")
		b.WriteString(e.Text)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of the code with a text for people.
func Errorf(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Text: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of an error: of the [*Error] in its chain, or
// CodeInternal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
