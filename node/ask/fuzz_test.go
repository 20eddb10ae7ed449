package ask

import (
	"encoding/json"
	"testing"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// FuzzExecute feeds a state questions that no door would ask. It may refuse all
// of them; it must not panic, nor answer eve what is not for her.
func FuzzExecute(f *testing.F) {
	w := newWorld(f)
	w.pair()
	w.say("ann", "secret")
	w.do("", &state.CreateConversation{ID: "news", Preset: state.PresetSystem, Members: []wire.UserID{"ann"}})
	w.do("", &state.CreateConversation{ID: state.BroadcastLog, Preset: state.PresetBroadcast})
	w.broadcast("news", 0, "to all")
	kind := int64(-1)
	for _, r := range []*Request{
		{History: &History{Conversation: "tea", Start: Place{Time: 5, Message: "x"}, Type: &kind, Limit: 3}},
		{Log: &Log{Conversation: "tea", After: 1}},
		{Log: &Log{}},
		{Sync: &Sync{Conversations: []wire.ConversationID{"tea"}, Unread: &SyncUnread{Since: 1}}},
		{Places: &Places{Of: []PlaceIn{{Conversation: "tea", Time: 1}}}},
		{Cursors: &Cursors{Conversation: "tea"}},
		{Broadcasts: &Broadcasts{Service: "news", Start: Place{Time: 5, Message: "x"}, Newer: true, Type: &kind, Limit: 3}},
		{BroadcastPlaces: &BroadcastPlaces{}},
		{Subscribers: &Subscribers{Service: "news", After: &Subscriber{User: "ann", Since: 1}, Newest: true, Limit: 3}},
	} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, err := Execute(t.Context(), Source{State: w.st.State}, "app", "eve", b)
		if err != nil {
			return
		}
		var a Answer
		if err := json.Unmarshal(answer, &a); err != nil {
			t.Fatalf("an answer that cannot be read: %v", err)
		}
		if a.History != nil && len(a.History.Messages) > 0 {
			t.Fatalf("eve reads %s", answer)
		}
		if a.Subscribers != nil {
			t.Fatalf("eve is told who has subscribed: %s", answer)
		}
		if a.Log != nil {
			entries, err := a.Log.Entries("tea")
			for _, e := range entries {
				if err != nil || e.Kind < state.EntryJoined {
					t.Fatalf("eve reads the log: %v, %v", e, err)
				}
			}
		}
	})
}
