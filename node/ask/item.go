package ask

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/quorate/quorate/shard/state"
)

// RecalledBody is what stands for the body of a message that was taken back.
const RecalledBody = `{"_lctype":-127}`

// Item returns the document as a client is shown it at a time, in milliseconds:
// its columns, and those of the last message, of who asks and of what is left of
// its time.
func (d *Document) Item(now int64) (map[string]json.RawMessage, error) {
	var item map[string]json.RawMessage
	if err := json.Unmarshal(d.Columns, &item); err != nil {
		return nil, fmt.Errorf("decode the columns of %s: %w", d.Conversation, err)
	}
	more := map[string]any{}
	switch d.Preset {
	case state.PresetTemporary:
		left := max(0, d.Expires-now) / 1000
		more["ttl"], more["tempConv"], more["tempConvTTL"] = left, true, left
	case state.PresetSystem:
		more["joined"], more["muted"] = d.Joined != 0, d.Quiet
		if d.Joined != 0 {
			more["joinedAt"] = d.Joined
		}
	default:
	}
	if d.Last != nil {
		addLast(more, d.Last)
	}
	for column, v := range more {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode column %s of %s: %w", column, d.Conversation, err)
		}
		item[column] = b
	}
	return item, nil
}

func addLast(item map[string]any, m *state.Message) {
	body, binary := string(m.Body), false
	switch {
	case m.Recalled:
		body = RecalledBody
	case m.ContentType == BinaryContent:
		body, binary = base64.StdEncoding.EncodeToString(m.Body), true
	}
	item["msg"], item["bin"], item["msg_mid"], item["msg_from"], item["msg_timestamp"] = body, binary, m.ID, m.From, m.Timestamp
	if m.Edited != 0 {
		item["patch_timestamp"] = m.Edited
	}
	if m.MentionAll {
		item["mention_all"] = true
	}
	if len(m.Mentions) > 0 {
		item["mention_pids"] = m.Mentions
	}
}

// Items shows documents as one JSON array.
func Items(documents []Document, now int64) ([]byte, error) {
	items := make([]map[string]json.RawMessage, len(documents))
	for i := range documents {
		var err error
		if items[i], err = documents[i].Item(now); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(items)
	if err != nil {
		return nil, fmt.Errorf("encode conversations: %w", err)
	}
	return b, nil
}
