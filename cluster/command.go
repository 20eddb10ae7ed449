package cluster

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/quorate/quorate/wire"
)

// A Command is a change to the meta group's record, as it stands in the raft
// log. The set is closed: a new kind is a new format level.
type Command interface {
	kind() string
}

// Init sets the cluster up. Every initial node may propose the same one: the
// first is done, the others find it done. Make it with [Bootstrap.Command].
type Init struct {
	ClusterID   string            `json:"cluster_id"`
	FormatLevel uint32            `json:"format_level"`
	Nodes       []Node            `json:"nodes"`
	Shards      []Shard           `json:"shards"`
	Apps        []App             `json:"apps,omitempty"`
	Settings    map[string]string `json:"settings,omitempty"`
}

// PutNode adds a node or replaces what is known of it. A removed node stays
// removed.
type PutNode struct {
	Node Node `json:"node"`
}

// SetPlacement says where a shard should be from now on. The placement's
// version must be the present one's plus 1.
type SetPlacement struct {
	Shard     wire.ShardID `json:"shard"`
	Placement Placement    `json:"placement"`
}

// PutApp adds an app or replaces it.
type PutApp struct {
	App App `json:"app"`
}

// SetAppSettings changes settings of an app and leaves its others as they are;
// an empty value removes one. So two that change different ones at once do not
// undo each other's.
type SetAppSettings struct {
	App      wire.AppID        `json:"app"`
	Settings map[string]string `json:"settings"`
}

// PutSetting sets a setting of the cluster; an empty value removes it.
type PutSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (Init) kind() string           { return "init" }
func (PutNode) kind() string        { return "put_node" }
func (SetPlacement) kind() string   { return "set_placement" }
func (PutApp) kind() string         { return "put_app" }
func (SetAppSettings) kind() string { return "set_app_settings" }
func (PutSetting) kind() string     { return "put_setting" }

// commandVersion is the version of the commands' form.
const commandVersion = 1

// envelope is how a command stands in the log:
//
//	{"v":1,"kind":"put_setting","body":{"key":"motd","value":"hello"}}
type envelope struct {
	Version int             `json:"v"`
	Kind    string          `json:"kind"`
	Body    json.RawMessage `json:"body"`
}

// errUnknownCommand is the cause when a command is of a kind that this build
// does not have.
var errUnknownCommand = errors.New("unknown kind of command")

func encodeCommand(c Command) ([]byte, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command %s: %w", c.kind(), err)
	}
	data, err := json.Marshal(envelope{Version: commandVersion, Kind: c.kind(), Body: body})
	if err != nil {
		return nil, fmt.Errorf("encode command %s: %w", c.kind(), err)
	}
	if len(data) > MaxCommandBytes {
		return nil, fmt.Errorf("encode command %s: it has %d bytes, want at most %d", c.kind(), len(data), MaxCommandBytes)
	}
	return data, nil
}

func decodeCommand(data []byte) (Command, error) {
	if len(data) > MaxCommandBytes {
		return nil, fmt.Errorf("decode command: it has %d bytes, want at most %d", len(data), MaxCommandBytes)
	}
	if err := checkVersion(data, commandVersion); err != nil {
		return nil, fmt.Errorf("decode command: %w", err)
	}
	var e envelope
	if err := decodeStrict(data, &e); err != nil {
		return nil, fmt.Errorf("decode command: %w", err)
	}
	c, err := decodeBody(e.Kind, e.Body)
	if err != nil {
		return nil, fmt.Errorf("decode command %q: %w", e.Kind, err)
	}
	return c, nil
}

func decodeBody(kind string, body []byte) (Command, error) {
	switch kind {
	case Init{}.kind():
		return decodeAs[Init](body)
	case PutNode{}.kind():
		return decodeAs[PutNode](body)
	case SetPlacement{}.kind():
		return decodeAs[SetPlacement](body)
	case PutApp{}.kind():
		return decodeAs[PutApp](body)
	case SetAppSettings{}.kind():
		return decodeAs[SetAppSettings](body)
	case PutSetting{}.kind():
		return decodeAs[PutSetting](body)
	default:
		return nil, errUnknownCommand
	}
}

func decodeAs[C Command](body []byte) (Command, error) {
	var c C
	if err := decodeStrict(body, &c); err != nil {
		return nil, err
	}
	return c, nil
}
