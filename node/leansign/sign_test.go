package leansign

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	app   = "testAppId0001"
	key   = "test-master-key-0001"
	at    = int64(1700000000000)
	nonce = "n0nce"
)

var inTime = Window{Now: at + 1000}

// TestLM100_Vectors has the known answers, made with other programs.
func TestLM100_Vectors(t *testing.T) {
	for _, c := range []struct {
		name, key string
		action    Action
		at        int64
		nonce     string
		want      string
	}{
		{"login", key, Action{Verb: Login, App: app, Client: "Tom"}, at, nonce, "368341c5dea58abb1efb8d1b7652badb55109c15"},
		{"start", key, Action{Verb: Start, App: app, Client: "Tom", Members: []string{"Tom", "Jerry"}}, at, nonce, "17ac0c66454d7d6744dd8046d420af4d24af4ce3"},
		{"add", key, Action{Verb: Invite, App: app, Client: "Tom", Conversation: "conv1", Members: []string{"Mary", "Jerry"}}, at, nonce, "66ef1e7a974db84723f0f10b0e5931a804fb3c6a"},
		{"join", key, Action{Verb: Invite, App: app, Client: "William", Conversation: "conv1", Members: []string{"William"}}, at, nonce, "2c04e59e325329a1283fabe811aa030594e4a20f"},
		{"remove", key, Action{Verb: Kick, App: app, Client: "Tom", Conversation: "conv1", Members: []string{"Mary"}}, at, nonce, "1585e28a3d6fa7ccf5f81138e8c40e1502e2b54a"},
		{"history", key, Action{Verb: History, App: app, Client: "Tom", Conversation: "conv1"}, at, nonce, "3c886014a4bcdfe137370f342c7c36b253c090ca"},
		{"block a conversation", key, Action{Verb: BlockConversations, App: app, Client: "Tom", Conversation: "conv1"}, at, nonce, "ce09960931709272a6579196589b6b393b858b7e"},
		{"block users", key, Action{Verb: BlockClients, App: app, Client: "Tom", Conversation: "conv1", Members: []string{"Mary", "Jerry"}}, at, nonce, "de49f417f510e9a0e96810a1f577346af8e577cf"},
		{"login, other key", "master", Action{Verb: Login, App: "app-0001", Client: "tom"}, 1600000000000, "nonce", "77b6b5a14b70e58c665242f97e6e63cc25f80beb"},
		{"start, other key", "master", Action{Verb: Start, App: "app-0001", Client: "tom", Members: []string{"tom", "jerry"}}, 1600000000000, "nonce", "2f5bbb50177d6604f34b102dd54e45127b833e08"},
		{"add, other key", "master", Action{Verb: Invite, App: "app-0001", Client: "tom", Conversation: "5a0000000000000000000000", Members: []string{"jerry"}}, 1600000000000, "nonce", "d6c33fb7aafebcbe9bc13837ed401a1ef4a96f55"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Sign(c.key, c.action, c.at, c.nonce); got != c.want {
				t.Errorf("Sign() = %s, want %s", got, c.want)
			}
			if err := Check(c.key, c.action, Given{c.want, c.at, c.nonce}, Window{Now: c.at}); err != nil {
				t.Errorf("Check() = %v, want nil", err)
			}
		})
	}
}

// TestLM100_Forms signs lines by hand: those that must be accepted, and near
// ones that must not.
func TestLM100_Forms(t *testing.T) {
	start := Action{Verb: Start, App: app, Client: "Tom", Members: []string{"Mary", "Jerry"}}
	add := Action{Verb: Invite, App: app, Client: "Tom", Conversation: "c", Members: []string{"Mary", "Jerry"}}
	kick := Action{Verb: Kick, App: app, Client: "Tom", Conversation: "c", Members: []string{"Mary"}}
	history := Action{Verb: History, App: app, Client: "Tom", Conversation: "c"}
	block := Action{Verb: BlockClients, App: app, Client: "Tom", Conversation: "c", Members: []string{"Mary"}}
	loose := start
	loose.Loose = true
	for _, c := range []struct {
		action Action
		line   string
		want   error
	}{
		{start, "testAppId0001:Tom:Jerry:Mary:@:#", nil},
		{start, "testAppId0001:Tom:Jerry:Mary:Tom:@:#", nil},
		{start, "testAppId0001:Tom:Jerry:Mary:@:#:create", nil},
		{start, "testAppId0001:Tom:Jerry:Mary:Tom:@:#:create", nil},
		{start, "testAppId0001:Tom:Mary:Jerry:@:#", ErrWrong},
		{start, "testAppId0001:Tom:Jerry:@:#", ErrWrong},
		{start, "testAppId0001:Tom::@:#", ErrWrong},
		{loose, "testAppId0001:Tom::@:#", nil},
		{start, "testAppId0001:Tom:Jerry:Mary:#:@", ErrWrong},
		{add, "testAppId0001:Tom:c:Jerry:Mary:@:#:invite", nil},
		{add, "testAppId0001:Tom:c:Jerry:Mary:@:#:add", nil},
		{add, "testAppId0001:Tom:c:Jerry:Mary:@:#:join", nil},
		{add, "testAppId0001:Tom:c:Jerry:Mary:@:#:kick", ErrWrong},
		{add, "testAppId0001:Tom:c:Jerry:Mary:@:#", ErrWrong},
		{kick, "testAppId0001:Tom:c:Mary:@:#:kick", nil},
		{kick, "testAppId0001:Tom:c:Mary:@:#:remove", nil},
		{kick, "testAppId0001:Tom:c:Mary:@:#:quit", nil},
		{kick, "testAppId0001:Tom:c:Mary:@:#:invite", ErrWrong},
		{kick, "testAppId0001:Tom:d:Mary:@:#:kick", ErrWrong},
		{history, "testAppId0001:Tom:c:#:@", nil},
		{history, "testAppId0001:Tom:c:@:#", nil},
		{block, "testAppId0001:Tom:c:Mary:@:#:conversation-block-clients", nil},
		{block, "testAppId0001:Tom:c:Mary:@:#:conversation-unblock-clients", ErrWrong},
	} {
		line := strings.NewReplacer("@", "1700000000000", "#", "n0nce").Replace(c.line)
		if err := Check(key, c.action, Given{hexOf(line), at, nonce}, inTime); !errors.Is(err, c.want) {
			t.Errorf("Check(%q) = %v, want %v", line, err, c.want)
		}
	}
}

func hexOf(line string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range digest(key, line) {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

func TestLM100_Times(t *testing.T) {
	login := Action{Verb: Login, App: app, Client: "Tom"}
	sixHours := (6 * time.Hour).Milliseconds()
	for _, c := range []struct {
		name   string
		at     int64
		window Window
		want   error
	}{
		{"in time", at, Window{Now: at}, nil},
		{"in seconds", at / 1000, Window{Now: at + 5}, nil},
		{"the last moment", at, Window{Now: at + sixHours}, nil},
		{"expired", at, Window{Now: at + sixHours + 1}, ErrExpired},
		{"expired, in seconds", at / 1000, Window{Now: at + sixHours + 1}, ErrExpired},
		{"from a clock that is ahead", at, Window{Now: at - 600_000}, nil},
		{"from the future", at, Window{Now: at - 600_001}, ErrExpired},
		{"made when the user was logged out", at, Window{Now: at + 9, After: at}, nil},
		{"made before", at, Window{Now: at + 9, After: at + 1}, ErrVoided},
		{"made before, in seconds", at / 1000, Window{Now: at + 9, After: at + 1}, ErrVoided},
		{"no time", 0, Window{Now: at}, ErrMissing},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Check(key, login, Given{Sign(key, login, c.at, nonce), c.at, nonce}, c.window); !errors.Is(err, c.want) {
				t.Errorf("Check() = %v, want %v", err, c.want)
			}
		})
	}
}

func TestLM100_Wrong(t *testing.T) {
	login := Action{Verb: Login, App: app, Client: "Tom"}
	good := Sign(key, login, at, nonce)
	colon := Action{Verb: Login, App: app, Client: "a:b"}
	for _, c := range []struct {
		name   string
		key    string
		action Action
		given  Given
		want   error
	}{
		{"upper case", key, login, Given{strings.ToUpper(good), at, nonce}, nil},
		{"none", key, login, Given{"", at, nonce}, ErrMissing},
		{"no hex", key, login, Given{"zz" + good[2:], at, nonce}, ErrWrong},
		{"cut", key, login, Given{good[:38], at, nonce}, ErrWrong},
		{"another time", key, login, Given{good, at + 1, nonce}, ErrWrong},
		{"another nonce", key, login, Given{good, at, "n"}, ErrWrong},
		{"a nonce without end", key, login, Given{good, at, strings.Repeat("n", 300)}, ErrWrong},
		{"another key", "k", login, Given{good, at, nonce}, ErrWrong},
		{"no key", "", login, Given{good, at, nonce}, ErrMissing},
		{"another user", key, Action{Verb: Login, App: app, Client: "Tim"}, Given{good, at, nonce}, ErrWrong},
		{
			"an invitation as a start", key,
			Action{Verb: Start, App: app, Client: "Tom", Members: []string{"Conv", "Mary"}},
			Given{Sign(key, Action{Verb: Invite, App: app, Client: "Tom", Conversation: "Conv", Members: []string{"Mary"}}, at, nonce), at, nonce + ":invite"},
			ErrAmbiguous,
		},
		{"an id with a colon", key, colon, Given{Sign(key, colon, at, nonce), at, nonce}, ErrAmbiguous},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Check(c.key, c.action, c.given, inTime); !errors.Is(err, c.want) {
				t.Errorf("Check() = %v, want %v", err, c.want)
			}
		})
	}
}

// TestNoFormIsAnothers signs each verb and shows it to each other one.
func TestNoFormIsAnothers(t *testing.T) {
	of := func(v Verb) Action {
		a := Action{Verb: v, App: app, Client: "Tom", Members: []string{"Mary"}}
		if v != Login && v != Start {
			a.Conversation = "c"
		}
		return a
	}
	for signed := Login; signed <= History; signed++ {
		for used := Login; used <= History; used++ {
			err := Check(key, of(used), Given{Sign(key, of(signed), at, nonce), at, nonce}, inTime)
			if (err == nil) != (signed == used) {
				t.Errorf("a signature of %d used for %d: %v", signed, used, err)
			}
		}
	}
}

// TestLinesThatTheDialectMadeTheSame: these signatures are of two actions, as the
// package says. Who changes that changes what it says.
func TestLinesThatTheDialectMadeTheSame(t *testing.T) {
	const clock = "1700000000999" // a nonce that is a time
	login := Action{Verb: Login, App: app, Client: "Tom"}
	alone := Action{Verb: Start, App: app, Client: "Tom"}
	withX := Action{Verb: Start, App: app, Client: "Tom", Members: []string{"X"}}
	loose := withX
	loose.Loose = true
	history := Action{Verb: History, App: app, Client: "Tom", Conversation: "X"}
	late := int64(1700000000999)
	for _, c := range []struct {
		name         string
		signed, used Action
		nonce        string
		given        Given // but for the signature
		want         error
	}{
		{"a login, a start of one who is alone", login, alone, nonce, Given{Timestamp: at, Nonce: nonce}, nil},
		{"and the other way", alone, login, nonce, Given{Timestamp: at, Nonce: nonce}, nil},
		{"a login, a start with X", login, withX, nonce, Given{Timestamp: at, Nonce: nonce}, ErrWrong},
		{"a login, a loose start with X", login, loose, nonce, Given{Timestamp: at, Nonce: nonce}, nil},
		{"a start with X, the history of X", withX, history, nonce, Given{Timestamp: at, Nonce: nonce}, nil},
		{"the history of X, a start with X", history, withX, nonce, Given{Timestamp: at, Nonce: nonce}, ErrWrong},
		{"the same, the parts taken for others", history, withX, nonce, Given{Timestamp: late, Nonce: nonce}, ErrWrong},
		{"the same, with a nonce that is a time", history, withX, clock, Given{Timestamp: late, Nonce: "1700000000000"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.given.Signature = Sign(key, c.signed, at, c.nonce)
			if err := Check(key, c.used, c.given, inTime); !errors.Is(err, c.want) {
				t.Errorf("Check() = %v, want %v", err, c.want)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	keys := Keys{Key: "test-app-key-0001", MasterKey: "test-master-key-0001", SignAge: 10 * time.Minute}
	const (
		byKey    = "3421c1d00d9a9e27c9507987d4605eda,1700000000000"
		byMaster = "3e7abc693fe3b08ce904dd00838cc5f1,1700000000000,master"
	)
	for value, want := range map[string]Role{
		"test-app-key-0001":           Client,
		"test-master-key-0001,master": Master,
		"test-master-key-0001":        Nobody,
		"test-app-key-0001,master":    Nobody,
		"":                            Nobody,
		",master":                     Nobody,
	} {
		if got := keys.Header(value); got != want {
			t.Errorf("Header(%q) = %v, want %v", value, got, want)
		}
	}
	for _, c := range []struct {
		value string
		now   int64
		want  Role
	}{
		{byKey, at, Client},
		{byKey, at + 1e9, Client}, // clients' clocks are whatever they are
		{strings.ToUpper(byKey[:32]) + byKey[32:], at, Client},
		{byKey + ",master", at, Nobody},
		{byMaster, at, Master},
		{byMaster, at + 600_001, Nobody},
		{byMaster, at - 600_001, Nobody},
		{strings.TrimSuffix(byMaster, ",master"), at, Nobody},
		{"3421c1d00d9a9e27c9507987d4605eda", at, Nobody},
		{"3421c1d00d9a9e27c9507987d4605eda,", at, Nobody},
		{"3421c1d00d9a9e27c9507987d4605eda,1700000000001", at, Nobody},
		{"", at, Nobody},
	} {
		if got := keys.Signed(c.value, c.now); got != c.want {
			t.Errorf("Signed(%q, %d) = %v, want %v", c.value, c.now, got, c.want)
		}
	}
	if got := (Keys{MasterKey: "test-master-key-0001"}).Signed(byMaster, at+1e12); got != Master {
		t.Errorf("Signed() of any age = %v, want %v", got, Master)
	}
	other := Keys{Key: "appkey"}
	if got := other.Signed("3e33c4e7eaf7dc745ec79fd69049f4c3,1600000000000", at); got != Client {
		t.Errorf("Signed() with another key = %v, want %v", got, Client)
	}
	if got := (Keys{}).Header(""); got != Nobody {
		t.Errorf("an app without keys: Header(\"\") = %v", got)
	}
	if got := (Keys{}).Signed("d41d8cd98f00b204e9800998ecf8427e,0", at); got != Nobody {
		t.Errorf("an app without keys: Signed() = %v", got)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("368341c5dea58abb1efb8d1b7652badb55109c15", at, nonce, "Tom", "c", "Mary")
	f.Fuzz(func(t *testing.T, signature string, stamp int64, nonce, client, conversation, member string) {
		for v := Login; v <= History; v++ {
			a := Action{Verb: v, App: app, Client: client, Conversation: conversation, Members: []string{member}}
			if Check(key, a, Given{signature, stamp, nonce}, inTime) == nil && client != "Tom" {
				t.Errorf("a signature was found: %q", signature)
			}
		}
	})
}
