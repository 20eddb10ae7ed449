package cluster

import (
	"encoding/json"
	"fmt"
)

// Refusal is the record's "no" to a command. All replicas agree on it.
type Refusal string

// The refusals. The empty one means that the command was done.
const (
	RefusedExists   Refusal = "exists"    // the cluster is set up, as another one
	RefusedNotReady Refusal = "not_ready" // the cluster is not set up yet
	RefusedNotFound Refusal = "not_found" // there is no such shard
	RefusedConflict Refusal = "conflict"  // somebody else was first: look again
	RefusedInvalid  Refusal = "invalid"   // it can never succeed as it stands
	RefusedLimit    Refusal = "limit"     // there are too many already
)

// Result is the answer to a command.
type Result struct {
	Index   uint64  `json:"index"`             // of the command in the raft log
	Refusal Refusal `json:"refusal,omitempty"` // empty when it was done
	Text    string  `json:"text,omitempty"`    // for people
}

// RefusedError is a refusal as an error, for callers with one way to fail.
type RefusedError struct {
	Refusal Refusal
	Text    string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("refused: %s: %s", e.Refusal, e.Text) }

// Err returns a [*RefusedError] when the command was refused, or nil.
func (r Result) Err() error {
	if r.Refusal == "" {
		return nil
	}
	return &RefusedError{Refusal: r.Refusal, Text: r.Text}
}

func refuse(why Refusal, format string, args ...any) Result {
	return Result{Refusal: why, Text: fmt.Sprintf(format, args...)}
}

func encodeResult(r Result) ([]byte, error) { return json.Marshal(r) }

// decodeResult reads what another node answered. Unlike a command's, its
// unknown fields are ignored: nothing is stored of it.
func decodeResult(data []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(data, &r); err != nil {
		return Result{}, fmt.Errorf("decode the meta leader's answer: %w", err)
	}
	return r, nil
}
