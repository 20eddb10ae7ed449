package door

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSettingsDefaults has the documented defaults: all features are off, all
// numbers are LeanCloud's.
func TestSettingsDefaults(t *testing.T) {
	got := ParseSettings(nil)
	if got.Sign != (SignSettings{}) || got.Allow != (AllowSettings{}) {
		t.Errorf("switches %+v %+v, want all off", got.Sign, got.Allow)
	}
	want := LimitSettings{
		MessageBytes: 5120, Managers: 50, OnlineQuery: 20, Recipients: 20, UnreadConversations: 50, UnreadMessages: 100,
		Replay: 20, ConversationPage: 1000, RoomSample: 50, SubscriberPage: 50, KickReason: 20,
	}
	if got.Limit != want {
		t.Errorf("limits %+v, want %+v", got.Limit, want)
	}
	if want := (TimeSettings{RoomRejoin: 30 * time.Minute, MuteLife: 24 * time.Hour, SessionToken: 24 * time.Hour}); got.Time != want {
		t.Errorf("times %+v, want %+v", got.Time, want)
	}
	if want := (RateSettings{Send: 60, History: 120, Other: 30}); got.Rate != want {
		t.Errorf("rates %+v, want %+v", got.Rate, want)
	}
	if want := (RESTSettings{SignAge: 10 * time.Minute}); got.REST != want {
		t.Errorf("REST %+v, want %+v", got.REST, want)
	}
}

// TestSettingsList checks that each default and no nonsense can be set, and
// that a setting has its own place: two that are set alike are distinct in it.
func TestSettingsList(t *testing.T) {
	list := SettingsList()
	if !slices.IsSortedFunc(list, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the list is not sorted")
	}
	seen := map[Settings]string{}
	for _, s := range list {
		if s.Help == "" || s.Values == "" || !strings.HasPrefix(s.Name, settingPrefix) {
			t.Errorf("%+v lacks something", s)
		}
		if err := CheckSettings(map[string]string{s.Name: s.Default}); err != nil {
			t.Errorf("the default cannot be set: %v", err)
		}
		if err := CheckSettings(map[string]string{s.Name: "nonsense"}); err == nil || !strings.Contains(err.Error(), s.Name) {
			t.Errorf("%s = nonsense: %v, want an error that names it", s.Name, err)
		}
		parsed := ParseSettings(map[string]string{s.Name: another(s)})
		if other := seen[parsed]; other != "" || parsed == ParseSettings(nil) {
			t.Errorf("%s changes nothing of its own; %q does the same", s.Name, other)
		}
		seen[parsed] = s.Name
	}
}

// another returns a value that is not the default.
func another(s Setting) string {
	switch {
	case s.Values == "on, off":
		return "on"
	case s.Default == "any":
		return "https://example.com http://localhost:8080"
	case strings.HasSuffix(s.Default, "h"), strings.HasSuffix(s.Default, "m"), s.Default == "0s":
		return "90s"
	default:
		return "7"
	}
}

func TestCheckSettings(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"leanmessage.edit", "on", ""},
		{"leanmessage.edit", "", ""},
		{"gone", "", ""}, // what a newer node had can be removed
		{"leanmessage.edit", "maybe", "want on or off"},
		{"leanmessage.limit.message", "0", "want a number from 1 to 32768"},
		{"leanmessage.limit.message", "99999", "want a number"},
		{"leanmessage.room-rejoin", "30", "want a time"},
		{"leanmessage.room-rejoin", "-1s", "want a time"},
		{"leanmessage.origins", "https://example.com http://localhost:8080", ""},
		{"leanmessage.origins", "https://example.com/path", "want any, or origins"},
		{"leanmessage.origins", "example.com", "want any, or origins"},
		{"edit", "on", `but "leanmessage.edit"`},
		{"motd", "on", `no setting "motd"`},
	} {
		err := CheckSettings(map[string]string{c.name: c.value})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %q: %v, want %q", c.name, c.value, err, c.want)
		}
	}
}

func TestParseSettingsGoesOnWithDefaults(t *testing.T) {
	got := ParseSettings(map[string]string{
		"leanmessage.limit.message": "never", "leanmessage.roles": "?", "leanmessage.edit": "on", "kind": "x",
	})
	if got.Limit.MessageBytes != 5120 || got.Allow.Roles || !got.Allow.Edit {
		t.Errorf("parsed %+v, want what is wrong to have its default", got)
	}
}

func TestLM016_Origins(t *testing.T) {
	some := ParseSettings(map[string]string{"leanmessage.origins": "https://example.com  http://localhost:8080"}).Allow
	every := ParseSettings(nil).Allow
	for origin, want := range map[string]bool{"https://example.com": true, "http://localhost:8080": true, "": true, "https://evil.example.com": false, "null": false} {
		if some.Origin(origin) != want || !every.Origin(origin) {
			t.Errorf("%q: %v of some, %v of any", origin, some.Origin(origin), every.Origin(origin))
		}
	}
}
