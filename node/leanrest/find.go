package leanrest

import (
	"encoding/json"
	"errors"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/where"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// search is which conversations somebody looks for.
type search struct {
	where       json.RawMessage
	sort        string
	skip, limit int
	kind        state.Preset // 0: any
}

// maxSkip bounds how deep a search is paged.
const maxSkip = ask.MaxFound - wire.MaxPageEntries

// find looks for conversations, on all shards that may have some.
func (q *request) find(s search) ([]map[string]any, error) {
	condition := s.where
	if s.kind != 0 {
		var err error
		if condition, err = ofKind(s.where, s.kind); err != nil {
			return nil, err
		}
	}
	found, err := door.Find(q.ctx(), q.host, door.Search{App: q.app.ID, Where: condition, Sort: s.sort, Limit: s.limit, Skip: s.skip})
	if err != nil {
		return nil, queryFailed(err)
	}
	documents := make([]map[string]any, len(found))
	for i := range found {
		if documents[i], err = found[i].Decode(); err != nil {
			return nil, err
		}
		tidy(documents[i])
	}
	return documents, nil
}

// ofKind adds to a query of which kind the conversations must be.
func ofKind(query json.RawMessage, kind state.Preset) (json.RawMessage, error) {
	conditions := map[string]json.RawMessage{}
	if len(query) > 0 {
		if err := json.Unmarshal(query, &conditions); err != nil {
			return nil, wrong(codeQuery, "where is no JSON object")
		}
	}
	number, err := json.Marshal(kind)
	if err != nil {
		return nil, err
	}
	if _, taken := conditions[leandoc.ColumnKind]; !taken {
		conditions[leandoc.ColumnKind] = number
		return json.Marshal(conditions)
	}
	return json.Marshal(map[string]any{"$and": []any{query, map[string]any{leandoc.ColumnKind: kind}}})
}

// queryFailed gives a search its own codes.
func queryFailed(err error) error {
	if errors.Is(err, where.ErrInvalid) {
		return wrong(codeQuery, "%v", err)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		if e.Code == wire.CodeInvalid {
			return wrong(codeQuery, "%s", e.Text)
		}
		if e.Code == wire.CodeLimit {
			return wrong(codeQueryFailed, "%s", e.Text)
		}
	}
	return err
}

// tidy removes from a document what is not stored where LeanCloud stores it.
func tidy(document map[string]any) {
	delete(document, leandoc.ColumnKind)
	for _, flag := range []string{"tr", "sys", "unique", leandoc.ColumnTemporary} {
		if on, ok := document[flag].(bool); ok && !on {
			delete(document, flag)
		}
	}
	if list, ok := document[leandoc.ColumnMuted].([]any); ok && len(list) == 0 {
		delete(document, leandoc.ColumnMuted)
	}
	if document["tr"] == true || document["sys"] == true {
		delete(document, leandoc.ColumnMembers)
	}
}
