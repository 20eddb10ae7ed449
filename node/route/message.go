package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// The methods of requests between nodes. They are on the wire: add at the end,
// never renumber.
const (
	MethodPropose uint8 = 1 // a command for a shard's leader
	MethodQuery   uint8 = 2 // a query for a replica
	MethodMeta    uint8 = 3 // a command for the meta group's leader
	MethodStatus  uint8 = 4 // what a node knows of itself
	MethodScrubs  uint8 = 5 // what a node's replicas have found in scrubs
	MethodTail    uint8 = 6 // a stream: an edge tails a shard's logs
	MethodSignal  uint8 = 7 // a transient message for a shard's leader
	MethodLost    uint8 = 8 // a session ended without a logout
)

const (
	// messageVersion is the first byte of every request and answer, but of a query.
	messageVersion = 1
	queryVersion   = 2
	// maxWithin is how many milliseconds a query can say that its asker waits.
	maxWithin = 1 << 31
)

// errVersion is returned for a message of a version this node cannot read.
var errVersion = errors.New("route: unknown message version")

// proposal asks a shard's leader to propose a command.
//
//	| version 1 | shard | epoch | slot | key, 8 | command |
type proposal struct {
	shard   wire.ShardID
	epoch   uint64
	slot    wire.Slot
	key     uint64 // whom the command counts for in the leader's queue
	command []byte
}

func (p proposal) encode() []byte {
	b := make([]byte, 0, 40+len(p.command))
	b = append(b, messageVersion)
	b = bin.AppendUvarint(b, uint64(p.shard))
	b = bin.AppendUvarint(b, p.epoch)
	b = bin.AppendUvarint(b, uint64(p.slot))
	b = binary.BigEndian.AppendUint64(b, p.key)
	return append(b, p.command...)
}

func decodeProposal(b []byte) (proposal, error) {
	r, err := open(b)
	if err != nil {
		return proposal{}, err
	}
	p := proposal{shard: readShard(r), epoch: r.Uvarint(), slot: readSlot(r), key: r.Uint64()}
	p.command = r.Rest()
	return p, r.Close()
}

// query asks a replica to answer a request of a user.
//
//	| version 2 | shard | epoch | slot | strong | at least | within | app | user | request |
type query struct {
	Query

	shard  wire.ShardID
	epoch  uint64
	strong bool
	within time.Duration // for so long the asker waits, whole milliseconds; 0: he does not say
}

func (q query) encode() []byte {
	b := make([]byte, 0, 64+len(q.App)+len(q.User)+len(q.Request))
	b = append(b, queryVersion)
	b = bin.AppendUvarint(b, uint64(q.shard))
	b = bin.AppendUvarint(b, q.epoch)
	b = bin.AppendUvarint(b, uint64(q.Slot))
	b = bin.AppendBool(b, q.strong)
	b = bin.AppendUvarint(b, uint64(q.AtLeast))
	b = bin.AppendUvarint(b, uint64(q.within.Milliseconds()))
	b = bin.AppendString(b, q.App)
	b = bin.AppendString(b, q.User)
	return append(b, q.Request...)
}

func decodeQuery(b []byte) (query, error) {
	r, err := openAs(queryVersion, b)
	if err != nil {
		return query{}, err
	}
	q := query{shard: readShard(r), epoch: r.Uvarint()}
	q.Slot, q.strong, q.AtLeast = readSlot(r), r.Bool(), wire.Offset(r.Uvarint())
	within := r.Uvarint()
	if within > maxWithin {
		r.Fail(bin.ErrRange)
	}
	q.within = time.Duration(within) * time.Millisecond
	q.App, q.User = wire.AppID(r.String()), wire.UserID(r.String())
	q.Request = r.Rest()
	return q, r.Close()
}

// encodeOutcome encodes the answer to a proposal.
//
//	| version 1 | result |
func encodeOutcome(result state.Result) []byte {
	return state.EncodeResult([]byte{messageVersion}, result)
}

func decodeOutcome(b []byte) (state.Result, error) {
	r, err := open(b)
	if err != nil {
		return state.Result{}, err
	}
	return state.DecodeResult(r.Rest())
}

func open(b []byte) (*bin.Reader, error) { return openAs(messageVersion, b) }

func openAs(version byte, b []byte) (*bin.Reader, error) {
	r := bin.NewReader(b)
	if v := r.Byte(); v != version {
		return nil, fmt.Errorf("%w: %d", errVersion, v)
	}
	return r, nil
}

func readShard(r *bin.Reader) wire.ShardID {
	v := r.Uvarint()
	if v == 0 || v > 1<<31 {
		r.Fail(bin.ErrRange)
	}
	return wire.ShardID(v)
}

func readSlot(r *bin.Reader) wire.Slot {
	v := r.Uvarint()
	if v >= wire.Slots {
		r.Fail(bin.ErrRange)
	}
	return wire.Slot(v)
}
