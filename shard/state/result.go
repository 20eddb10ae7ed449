package state

import (
	"bytes"
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Result is the answer to one command. All replicas agree on it; a success is
// remembered with the command's token, so that a retry gets it again.
type Result struct {
	Refusal Refusal // None: the command was done
	Text    string  // of a refusal, for people
	Again   bool    // the answer was remembered: nothing was done this time
	Existed bool    // of a create: it was there already

	Conversation wire.ConversationID
	MessageID    wire.MessageID
	Seq          wire.Seq
	Offset       wire.Offset // of the entry that the command made; 0: none
	Timestamp    int64       // of the message or the change, milliseconds since 1970
	Users        []UserResult
	Login        uint64 // number of the login that took the tag
	Count        uint64 // how many rows the command dealt with
	More         bool   // a sweep or a trim has more to do

	Conversations []wire.ConversationID // of a unique conversation: the candidates, oldest first
	Data          []byte                // of an update: what Entry.Changed tells
}

// UserResult is what a command about several users came to for one of them.
type UserResult struct {
	User    wire.UserID
	Refusal Refusal
}

const resultVersion = 1

// The bits that say which fields follow, in this order.
const (
	resultRefusal = 1 << iota
	resultText
	resultAgain
	resultExisted
	resultConversation
	resultMessageID
	resultSeq
	resultOffset
	resultTimestamp
	resultUsers
	resultLogin
	resultCount
	resultMore
	resultConversations
	resultData
	resultEnd
)

// EncodeResult appends the durable form: | version, 1 | bits of the fields that
// are not zero | those fields |.
func EncodeResult(b []byte, r Result) []byte {
	b = append(b, resultVersion)
	bits := r.bits()
	b = bin.AppendUvarint(b, bits)
	if bits&resultRefusal != 0 {
		b = append(b, byte(r.Refusal))
	}
	if bits&resultText != 0 {
		b = bin.AppendString(b, r.Text)
	}
	if bits&resultConversation != 0 {
		b = bin.AppendString(b, r.Conversation)
	}
	if bits&resultMessageID != 0 {
		b = bin.AppendString(b, r.MessageID)
	}
	numbers := [...]struct{ bit, value uint64 }{
		{resultSeq, uint64(r.Seq)},
		{resultOffset, uint64(r.Offset)},
		{resultTimestamp, uint64(r.Timestamp)},
		{resultLogin, r.Login},
		{resultCount, r.Count},
	}
	for _, n := range numbers {
		if bits&n.bit != 0 {
			b = bin.AppendUvarint(b, n.value)
		}
	}
	if bits&resultUsers != 0 {
		b = bin.AppendUvarint(b, uint64(len(r.Users)))
		for _, u := range r.Users {
			b = append(bin.AppendString(b, u.User), byte(u.Refusal))
		}
	}
	if bits&resultConversations != 0 {
		b = appendIDs(b, r.Conversations)
	}
	if bits&resultData != 0 {
		b = bin.AppendString(b, r.Data)
	}
	return b
}

func (r *Result) bits() uint64 {
	var bits uint64
	for _, f := range [...]struct {
		bit uint64
		set bool
	}{
		{resultRefusal, r.Refusal != None},
		{resultText, r.Text != ""},
		{resultAgain, r.Again},
		{resultExisted, r.Existed},
		{resultConversation, r.Conversation != ""},
		{resultMessageID, r.MessageID != ""},
		{resultSeq, r.Seq != 0},
		{resultOffset, r.Offset != 0},
		{resultTimestamp, r.Timestamp != 0},
		{resultUsers, len(r.Users) > 0},
		{resultLogin, r.Login != 0},
		{resultCount, r.Count != 0},
		{resultMore, r.More},
		{resultConversations, len(r.Conversations) > 0},
		{resultData, len(r.Data) > 0},
	} {
		if f.set {
			bits |= f.bit
		}
	}
	return bits
}

// DecodeResult reads what EncodeResult wrote.
func DecodeResult(b []byte) (Result, error) {
	in := bin.NewReader(b)
	r := readResult(in)
	if err := in.Close(); err != nil {
		return Result{}, fmt.Errorf("decode a result: %w", err)
	}
	return r, nil
}

func readResult(in *bin.Reader) Result {
	checkVersion(in, resultVersion)
	bits := in.Uvarint()
	if bits >= resultEnd {
		in.Fail(fmt.Errorf("%w: result bits %x", bin.ErrRange, bits))
	}
	has := func(bit uint64) bool { return bits&bit != 0 }
	number := func(bit uint64) uint64 {
		if !has(bit) {
			return 0
		}
		return in.Uvarint()
	}
	r := Result{Again: has(resultAgain), Existed: has(resultExisted), More: has(resultMore)}
	if has(resultRefusal) {
		r.Refusal = Refusal(in.Byte())
	}
	if has(resultText) {
		r.Text = in.String()
	}
	if has(resultConversation) {
		r.Conversation = readID[wire.ConversationID](in)
	}
	if has(resultMessageID) {
		r.MessageID = readID[wire.MessageID](in)
	}
	r.Seq = wire.Seq(number(resultSeq))
	r.Offset = wire.Offset(number(resultOffset))
	r.Timestamp = int64(number(resultTimestamp))
	r.Login = number(resultLogin)
	r.Count = number(resultCount)
	if has(resultUsers) {
		r.Users = readUserResults(in)
	}
	if has(resultConversations) {
		r.Conversations = readIDs[wire.ConversationID](in, maxCandidates)
	}
	if has(resultData) {
		r.Data = bytes.Clone(in.Bytes())
	}
	return r
}

func readUserResults(in *bin.Reader) []UserResult {
	n := in.Count(maxListed)
	users := make([]UserResult, 0, n)
	for range n {
		users = append(users, UserResult{User: readID[wire.UserID](in), Refusal: Refusal(in.Byte())})
	}
	return users
}
