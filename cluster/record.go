package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/quorate/quorate/wire"
)

// FormatLevel is the newest level of stored forms that this build reads and
// writes. The cluster's level is the newest that all its nodes read.
const FormatLevel = 1

// Limits of the record: beyond them a command is refused. They bound what
// every node keeps in memory and what a snapshot may hold.
const (
	MaxNodes        = 1000
	MaxShards       = 4096
	MaxApps         = 10_000
	MaxSettings     = 1000
	MaxSettingBytes = 4 << 10  // of a setting's key and value together, and of an app's settings
	MaxCommandBytes = 2 << 20  // of an encoded command; Init is the large one
	maxRecordBytes  = 64 << 20 // of an encoded record
)

// recordVersion is the version of the record's form. A reader knows one form.
const recordVersion = 1

// record is all that the meta group knows, as it stands in a snapshot. Its
// slices are sorted, so that equal records have equal bytes.
type record struct {
	Version     int               `json:"v"`
	Index       uint64            `json:"index"` // of the last command applied; 0 before the first
	ClusterID   string            `json:"cluster_id,omitempty"`
	FormatLevel uint32            `json:"format_level,omitempty"`
	Epoch       uint64            `json:"epoch,omitempty"` // of the slot map
	Nodes       []Node            `json:"nodes,omitempty"` // by id
	Shards      []Shard           `json:"shards,omitempty"`
	Apps        []App             `json:"apps,omitempty"` // by id
	Settings    map[string]string `json:"settings,omitempty"`
}

// NodeState is where a node is in its life.
type NodeState string

// The states of a node.
const (
	NodeJoined   NodeState = "joined"   // takes replicas
	NodeDraining NodeState = "draining" // gives its replicas away
	NodeRemoved  NodeState = "removed"  // for ever: its id is not used again
)

// Node is a process of the cluster, as the meta group knows it.
type Node struct {
	ID        wire.NodeID `json:"id"`
	Addresses Addresses   `json:"addresses"`
	State     NodeState   `json:"state"`
	Zone      string      `json:"zone,omitempty"` // what fails together; empty when nobody said
	FormatMin uint32      `json:"format_min"`     // the oldest level of stored forms it reads
	FormatMax uint32      `json:"format_max"`     // and the newest
}

// Addresses says where a node is reached, each as host:port; empty where it
// does not listen.
type Addresses struct {
	Peer   string `json:"peer,omitempty"`   // other nodes, TCP
	HTTP   string `json:"http,omitempty"`   // clients, TCP
	QUIC   string `json:"quic,omitempty"`   // clients, UDP
	Gossip string `json:"gossip,omitempty"` // TCP and UDP
}

// Shard is a raft group, the slots it owns and where its replicas should be.
type Shard struct {
	ID        wire.ShardID  `json:"id"`
	First     wire.Slot     `json:"first"`     // of its slots
	Last      wire.Slot     `json:"last"`      // of its slots, included
	Bootstrap []wire.NodeID `json:"bootstrap"` // the voters its raft group began with; never changes
	Placement Placement     `json:"placement"`
}

// Slots returns the interval of slots that the shard owns.
func (s *Shard) Slots() wire.SlotRange { return wire.SlotRange{First: s.First, Last: s.Last} }

// Placement says which nodes should hold a shard. What raft's configuration
// says is the truth; a placement is where it should go.
type Placement struct {
	Version   uint64        `json:"version"`
	Voters    []wire.NodeID `json:"voters"`
	Nonvoters []wire.NodeID `json:"nonvoters,omitempty"` // catching up, or leaving
	Preferred wire.NodeID   `json:"preferred,omitempty"` // the voter that should lead while all is well
}

// encodeRecord writes the record as it stands in a snapshot.
func encodeRecord(r *record) ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the record: %w", err)
	}
	return data, nil
}

// decodeRecord reads what encodeRecord wrote and checks that a Table can be
// made of it.
func decodeRecord(data []byte) (*record, error) {
	if len(data) > maxRecordBytes {
		return nil, fmt.Errorf("decode the record: it has %d bytes, want at most %d", len(data), maxRecordBytes)
	}
	if err := checkVersion(data, recordVersion); err != nil {
		return nil, fmt.Errorf("decode the record: %w", err)
	}
	r := new(record)
	if err := decodeStrict(data, r); err != nil {
		return nil, fmt.Errorf("decode the record: %w", err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("decode the record: %w", err)
	}
	return r, nil
}

// check says what is wrong with a record, or nil.
func (r *record) check() error {
	if r.ClusterID == "" {
		if len(r.Nodes)+len(r.Shards)+len(r.Apps)+len(r.Settings) > 0 {
			return errors.New("something is in it, but the cluster has no id")
		}
		return nil
	}
	if err := checkNodes(r.Nodes); err != nil {
		return err
	}
	if err := checkShards(r.Shards, r.Nodes); err != nil {
		return err
	}
	return checkApps(r.Apps)
}

// checkVersion reads the version alone, so that a newer form is called newer
// and not wrong.
func checkVersion(data []byte, want int) error {
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Version != want {
		return fmt.Errorf("its version is %d, this node reads %d", head.Version, want)
	}
	return nil
}

// decodeStrict decodes exactly one JSON value and refuses fields that the type
// does not have: a replica that left one out would fork from the others.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the value")
	}
	return nil
}
