package raftnet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire/bin"
)

// A frame, numbers big-endian or uvarint:
//
//	| version, 1 | kind, 1 | id, 8 | what the kind has |
//
// The id is the sender's of a request, and the request's in an answer.
const (
	version   = 1
	headBytes = 10
)

// kind is what a frame is. Kinds are part of the protocol: add at the end,
// never renumber.
type kind uint8

const (
	kindHeartbeat      kind = 1 + iota // append without previous entry, entries and commit index
	kindAppend                         // append
	kindVote                           // request for a vote
	kindPreVote                        // question whether there would be a vote
	kindTimeoutNow                     // demand to become candidate
	kindInstall                        // announcement of a snapshot
	kindChunk                          // piece of a snapshot
	kindAppendAnswer                   // to a heartbeat or append
	kindVoteAnswer                     // to a vote
	kindPreVoteAnswer                  // to a pre-vote
	kindTimeoutNowDone                 // to a timeout now
	kindInstallAnswer                  // to an announced snapshot, after its last chunk
	kindChunkTaken                     // how far the pieces of a snapshot have come
	kindError                          // to any request: raft's error as text
	kindEnd                            // below it are all kinds
)

// Limits of what a frame from another node may hold.
const (
	maxEntries   = 1024 // raft's own limit of MaxAppendEntries
	maxServerID  = 255
	maxErrorText = 1024
	maxChunk     = 1 << 20
)

// errFrame is the cause when a frame is not one of ours.
var errFrame = errors.New("raftnet: malformed frame")

// appendHead begins a frame.
func appendHead(b []byte, k kind, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, version, byte(k)), id)
}

// head reads what every frame begins with.
func head(frame []byte) (k kind, id uint64, err error) {
	switch {
	case len(frame) < headBytes:
		return 0, 0, fmt.Errorf("%w: %d bytes", errFrame, len(frame))
	case frame[0] != version:
		return 0, 0, fmt.Errorf("%w: version %d, want %d", errFrame, frame[0], version)
	case frame[1] == 0 || kind(frame[1]) >= kindEnd:
		return 0, 0, fmt.Errorf("%w: kind %d", errFrame, frame[1])
	}
	return kind(frame[1]), binary.BigEndian.Uint64(frame[2:]), nil
}

// sender is who sent a frame, as the network knows it.
type sender struct {
	addr []byte // shared by all that is decoded from it; never changed
}

// appendHeader writes raft's header without the address, which the network
// knows: | protocol version, 1 | server id, empty when it is the address |.
func appendHeader(b []byte, h raft.RPCHeader) []byte {
	b = append(b, byte(h.ProtocolVersion))
	if string(h.ID) == string(h.Addr) {
		return bin.AppendString(b, "")
	}
	return bin.AppendString(b, h.ID)
}

func (s sender) header(r *bin.Reader) raft.RPCHeader {
	h := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersion(r.Byte()), ID: s.addr, Addr: s.addr}
	if id := r.String(); id != "" {
		if len(id) > maxServerID {
			r.Fail(fmt.Errorf("%w: server id of %d bytes", errFrame, len(id)))
		}
		h.ID = []byte(id)
	}
	return h
}

// Heartbeat: | header | term | urgent, 1 |.

func appendHeartbeat(b []byte, m *raft.AppendEntriesRequest, urgent bool) []byte {
	b = appendHeader(b, m.RPCHeader)
	b = bin.AppendUvarint(b, m.Term)
	return bin.AppendBool(b, urgent)
}

func (s sender) heartbeat(body []byte) (m *raft.AppendEntriesRequest, urgent bool, err error) {
	r := bin.NewReader(body)
	m = &raft.AppendEntriesRequest{RPCHeader: s.header(r), Term: r.Uvarint()}
	urgent = r.Bool()
	return m, urgent, r.Close()
}

// Vote: | header | term | last index | last term | by transfer, 1 |.

func appendVote(b []byte, m *raft.RequestVoteRequest) []byte {
	b = appendHeader(b, m.RPCHeader)
	b = bin.AppendUvarint(b, m.Term)
	b = bin.AppendUvarint(b, m.LastLogIndex)
	b = bin.AppendUvarint(b, m.LastLogTerm)
	return bin.AppendBool(b, m.LeadershipTransfer)
}

func (s sender) vote(body []byte) (*raft.RequestVoteRequest, error) {
	r := bin.NewReader(body)
	m := &raft.RequestVoteRequest{RPCHeader: s.header(r)}
	m.Term, m.LastLogIndex, m.LastLogTerm, m.LeadershipTransfer = r.Uvarint(), r.Uvarint(), r.Uvarint(), r.Bool()
	return m, r.Close()
}

// Pre-vote: | header | term | last index | last term |.

func appendPreVote(b []byte, m *raft.RequestPreVoteRequest) []byte {
	b = appendHeader(b, m.RPCHeader)
	b = bin.AppendUvarint(b, m.Term)
	b = bin.AppendUvarint(b, m.LastLogIndex)
	return bin.AppendUvarint(b, m.LastLogTerm)
}

func (s sender) preVote(body []byte) (*raft.RequestPreVoteRequest, error) {
	r := bin.NewReader(body)
	m := &raft.RequestPreVoteRequest{RPCHeader: s.header(r)}
	m.Term, m.LastLogIndex, m.LastLogTerm = r.Uvarint(), r.Uvarint(), r.Uvarint()
	return m, r.Close()
}

// Timeout now: | header |.

func appendTimeoutNow(b []byte, m *raft.TimeoutNowRequest) []byte {
	return appendHeader(b, m.RPCHeader)
}

func (s sender) timeoutNow(body []byte) (*raft.TimeoutNowRequest, error) {
	r := bin.NewReader(body)
	m := &raft.TimeoutNowRequest{RPCHeader: s.header(r)}
	return m, r.Close()
}

// Announcement of a snapshot:
//
//	| header | snapshot version | term | last index | last term | configuration index | configuration |

func appendInstall(b []byte, m *raft.InstallSnapshotRequest) []byte {
	b = appendHeader(b, m.RPCHeader)
	b = bin.AppendUvarint(b, uint64(m.SnapshotVersion))
	b = bin.AppendUvarint(b, m.Term)
	b = bin.AppendUvarint(b, m.LastLogIndex)
	b = bin.AppendUvarint(b, m.LastLogTerm)
	b = bin.AppendUvarint(b, m.ConfigurationIndex)
	return bin.AppendString(b, m.Configuration)
}

func (s sender) install(body []byte) (*raft.InstallSnapshotRequest, error) {
	r := bin.NewReader(body)
	m := &raft.InstallSnapshotRequest{RPCHeader: s.header(r)}
	v := r.Uvarint()
	m.Term, m.LastLogIndex, m.LastLogTerm, m.ConfigurationIndex = r.Uvarint(), r.Uvarint(), r.Uvarint(), r.Uvarint()
	m.Configuration = []byte(r.String())
	if err := r.Close(); err != nil {
		return nil, err
	}
	if v > uint64(raft.SnapshotVersionMax) || v < uint64(raft.SnapshotVersionMin) || !isConfiguration(m.Configuration) {
		return nil, fmt.Errorf("%w: snapshot of version %d with %d bytes of configuration", errFrame, v, len(m.Configuration))
	}
	m.SnapshotVersion = raft.SnapshotVersion(v)
	return m, nil
}

// isConfiguration tells whether raft can decode the configuration: it panics
// if it can not.
func isConfiguration(b []byte) (ok bool) {
	defer func() { ok = recover() == nil }()
	raft.DecodeConfiguration(b)
	return true
}

// Answer to a heartbeat or append: | term | last index | flags, 1 |, flags: 1 success, 2 no back-off.

func appendAppendAnswer(b []byte, m *raft.AppendEntriesResponse) []byte {
	b = bin.AppendUvarint(b, m.Term)
	b = bin.AppendUvarint(b, m.LastLog)
	var flags byte
	if m.Success {
		flags |= 1
	}
	if m.NoRetryBackoff {
		flags |= 2
	}
	return append(b, flags)
}

func decodeAppendAnswer(body []byte, m *raft.AppendEntriesResponse) error {
	r := bin.NewReader(body)
	*m = raft.AppendEntriesResponse{Term: r.Uvarint(), LastLog: r.Uvarint()}
	flags := r.Byte()
	if flags > 3 {
		r.Fail(fmt.Errorf("%w: flags %d", errFrame, flags))
	}
	m.Success, m.NoRetryBackoff = flags&1 != 0, flags&2 != 0
	return r.Close()
}

// Answer to a vote, pre-vote or snapshot: | term | yes, 1 |.

func appendYesNo(b []byte, term uint64, yes bool) []byte {
	return bin.AppendBool(bin.AppendUvarint(b, term), yes)
}

func decodeYesNo(body []byte) (term uint64, yes bool, err error) {
	r := bin.NewReader(body)
	term, yes = r.Uvarint(), r.Bool()
	return term, yes, r.Close()
}

// Piece of a snapshot: | number, from 1 | state, 1 | data |.

// chunkState says whether a piece is followed by others.
type chunkState uint8

const (
	chunkMore  chunkState = iota // others follow
	chunkLast                    // this is the last
	chunkAbort                   // the sender can not go on
)

type chunk struct {
	number uint64
	state  chunkState
	data   []byte
}

func appendChunk(b []byte, c chunk) []byte {
	b = bin.AppendUvarint(b, c.number)
	b = append(b, byte(c.state))
	return append(b, c.data...)
}

// decodeChunk returns a piece that shares the body.
func decodeChunk(body []byte) (chunk, error) {
	r := bin.NewReader(body)
	c := chunk{number: r.Uvarint(), state: chunkState(r.Byte()), data: r.Rest()}
	switch {
	case r.Err() != nil:
		return chunk{}, r.Err()
	case c.number == 0 || c.state > chunkAbort || len(c.data) > maxChunk:
		return chunk{}, fmt.Errorf("%w: chunk %d, state %d, %d bytes", errFrame, c.number, c.state, len(c.data))
	}
	return c, nil
}

// How far a snapshot has come: | next to be taken by raft | next to arrive |.

func appendTaken(b []byte, taken, arrived uint64) []byte {
	return bin.AppendUvarint(bin.AppendUvarint(b, taken), arrived)
}

func decodeTaken(body []byte) (taken, arrived uint64, err error) {
	r := bin.NewReader(body)
	taken, arrived = r.Uvarint(), r.Uvarint()
	if taken == 0 || arrived < taken {
		r.Fail(fmt.Errorf("%w: chunk %d taken, %d arrived", errFrame, taken, arrived))
	}
	return taken, arrived, r.Close()
}
