package door

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are an app's switches and bounds for the LeanMessage doors. Make them
// with [ParseSettings]; [SettingsList] says what each is called and means.
type Settings struct {
	Sign  SignSettings
	Allow AllowSettings
	Limit LimitSettings
	Time  TimeSettings
	Rate  RateSettings
	REST  RESTSettings
}

// SignSettings say which actions want a signature.
type SignSettings struct {
	Login, Conversation, History, Blacklist bool
	Loose                                   bool // a start may be signed without its members
}

// AllowSettings are features.
type AllowSettings struct {
	Roles, Blacklist, Edit, Recall bool
	StrictIDs                      bool   // of users: letters, digits, _ and -, not beginning with a digit
	Enabled                        bool   // SDKs of LeanMessage open sessions
	PrivateQueries                 bool   // conversation queries find what one is in, chat rooms and services
	Origins                        string // of web pages, separated by spaces; empty: any
}

// Origin tells whether a web page of an origin may connect. Who names none is no
// page.
func (a *AllowSettings) Origin(origin string) bool {
	return a.Origins == "" || origin == "" || slices.Contains(strings.Fields(a.Origins), origin)
}

// LimitSettings bound numbers and sizes.
type LimitSettings struct {
	MessageBytes        int
	Managers            int
	OnlineQuery         int // ids that one question for who is online may have
	Recipients          int // ids of a message to some users of a service, and of mentions over REST
	UnreadConversations int // told at login
	UnreadMessages      int // told of one conversation
	Replay              int // messages of one conversation replayed to a client of the old mode
	ConversationPage    int
	RoomSample          int // ids of users in a chat room
	SubscriberPage      int
	KickReason          int // characters
}

// TimeSettings bound times.
type TimeSettings struct {
	RoomRejoin   time.Duration // a client that comes back is in its chat room again
	MuteLife     time.Duration // of a temporary mute
	SessionToken time.Duration // a session token is good for
	Idle         time.Duration // a conversation or chat room in which nothing happens lives; 0: for ever
}

// RateSettings are a client's commands in a minute; 0: any number.
type RateSettings struct {
	Send, History, Other int
}

// RESTSettings are of the REST door.
type RESTSettings struct {
	SignAge     time.Duration // of a digest of the master key; 0: any
	Open        bool          // the app's key is enough to change conversations
	Wrapped     bool          // sends of version 1.1 answer within "result"
	PerMinute   int           // messages sent, edited and recalled; 0: any number
	Subscribers int           // the same, to all subscribers of services
	Broadcasts  int           // and to all users
}

// Setting describes one setting.
type Setting struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Values  string `json:"values"` // which it may have, for people
	Help    string `json:"help"`
}

// settingPrefix begins the names of what this room knows. Other names are not
// its business.
const settingPrefix = "leanmessage."

// setting is one of them, with the way from its text to its place.
type setting struct {
	Setting

	parse func(text string) error
}

// SettingsList lists all settings, by name.
func SettingsList() []Setting {
	var list []Setting
	for _, o := range new(Settings).all() {
		list = append(list, o.Setting)
	}
	return list
}

// ParseSettings reads the settings of an app. What is wrong has its default: a
// door must open, also with settings that a newer node has let in. They are
// checked when they are set, see [CheckSettings].
func ParseSettings(texts map[string]string) Settings {
	var s Settings
	for _, o := range s.all() {
		_ = o.parse(o.Default) // a test parses all
		if text, ok := texts[o.Name]; ok {
			_ = o.parse(text) // it sets nothing if it fails
		}
	}
	return s
}

// CheckSettings says everything that is wrong with settings that somebody wants
// to change. An empty value removes a setting, and is right for every name.
func CheckSettings(texts map[string]string) error {
	known := map[string]setting{}
	for _, o := range new(Settings).all() {
		known[o.Name] = o
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := texts[name]
		o, ok := known[name]
		switch {
		case text == "":
		case !ok:
			errs = append(errs, fmt.Errorf("there is no setting %q%s", name, similar(name, known)))
		default:
			if err := o.parse(text); err != nil {
				errs = append(errs, fmt.Errorf("setting %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// similar suggests the setting that somebody may have meant.
func similar(name string, known map[string]setting) string {
	if _, ok := known[settingPrefix+name]; ok {
		return fmt.Sprintf(", but %q", settingPrefix+name)
	}
	return ""
}

// all lists the settings, sorted by name, each with its place in s.
func (s *Settings) all() []setting {
	list := slices.Concat(s.signatures(), s.features(), s.limits(), s.times(), s.rates())
	slices.SortFunc(list, func(a, b setting) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (s *Settings) signatures() []setting {
	return []setting{
		toggle("sign.login", &s.Sign.Login, "signing in wants a signature of the app's server; off: whoever knows the app's id signs in as anybody"),
		toggle("sign.conversation", &s.Sign.Conversation, "making a conversation, joining, adding and removing members want a signature"),
		toggle("sign.history", &s.Sign.History, "reading messages over REST with the app's key wants a signature; off: only the master key may read them"),
		toggle("sign.blacklist", &s.Sign.Blacklist, "blocking and unblocking want a signature"),
		toggle("sign.loose", &s.Sign.Loose, "a signature to make a conversation may leave out the members; it is then as good as one to sign in"),
		duration("rest.sign-age", &s.REST.SignAge, bounds{"10m", 0, 24 * time.Hour}, "how old a digest of the master key in X-LC-Sign may be; 0: any age"),
	}
}

func (s *Settings) features() []setting {
	return []setting{
		toggle("roles", &s.Allow.Roles, "conversations that are made from now on have roles: owner, managers and members"),
		toggle("blacklist", &s.Allow.Blacklist, "conversations can block users, and users conversations"),
		toggle("edit", &s.Allow.Edit, "senders may change their messages"),
		toggle("recall", &s.Allow.Recall, "senders may recall their messages"),
		toggle("enabled", &s.Allow.Enabled, "LeanMessage SDKs may sign in; they send no key, so switch on sign.login too if you can"),
		toggle("strict-ids", &s.Allow.StrictIDs, "ids of users are letters, digits, _ and - and do not begin with a digit"),
		toggle("private-queries", &s.Allow.PrivateQueries, "queries of users find no conversation that they are not in, but for chat rooms and services"),
		origins("origins", &s.Allow.Origins, "web pages that may open a WebSocket"),
		toggle("rest.open", &s.REST.Open, "REST requests with the app's key may list, make and change conversations; else the master key is wanted"),
		toggle("rest.wrapped", &s.REST.Wrapped, `sends of version 1.1 answer {"result":{…}}`),
	}
}

func (s *Settings) limits() []setting {
	return []setting{
		number("limit.message", &s.Limit.MessageBytes, limits{5 << 10, 1, 32 << 10}, "bytes of a message with everything that goes with it"),
		number("limit.managers", &s.Limit.Managers, limits{50, 1, 500}, "managers of one conversation"),
		number("limit.online", &s.Limit.OnlineQuery, limits{20, 1, 500}, "ids in one question for who is online"),
		number("limit.recipients", &s.Limit.Recipients, limits{20, 1, 500}, "named recipients of a message of a service, and mentions in a message over REST"),
		number("limit.unread-conversations", &s.Limit.UnreadConversations, limits{50, 1, 500}, "conversations with unread messages that a client is told of when it signs in"),
		number("limit.unread", &s.Limit.UnreadMessages, limits{100, 1, 10_000}, "unread messages that are counted of one conversation"),
		number("limit.replay", &s.Limit.Replay, limits{20, 0, 100}, "missed messages of one conversation that a client of the old mode is sent when it signs in"),
		number("limit.conversations", &s.Limit.ConversationPage, limits{1000, 1, 1000}, "conversations in one page of a query"),
		number("limit.room-sample", &s.Limit.RoomSample, limits{50, 1, 500}, "users that the list of who is in a chat room names"),
		number("limit.subscribers", &s.Limit.SubscriberPage, limits{50, 1, 1000}, "subscribers, or subscriptions, in one page"),
		number("limit.kick-reason", &s.Limit.KickReason, limits{20, 0, 200}, "characters of the reason for a forced logout"),
	}
}

func (s *Settings) times() []setting {
	return []setting{
		duration("room-rejoin", &s.Time.RoomRejoin, bounds{"30m", 0, 24 * time.Hour}, "a client that was cut off and comes back so soon is in its chat room again"),
		duration("limit.mute", &s.Time.MuteLife, bounds{"24h", time.Second, 365 * 24 * time.Hour}, "longest temporary mute"),
		duration("idle", &s.Time.Idle, bounds{"0s", 0, 10 * 365 * 24 * time.Hour}, "conversations and chat rooms in which nothing has happened for so long are ended, with their messages (LeanCloud: 4320h); 0: never"),
		duration("session-token", &s.Time.SessionToken, bounds{"24h", time.Minute, 24 * time.Hour}, "how long a client may come back without a new signature"),
	}
}

func (s *Settings) rates() []setting {
	const most = 1_000_000
	return []setting{
		number("rate.send", &s.Rate.Send, limits{60, 0, most}, "messages that a user may send in a minute; 0: any number"),
		number("rate.history", &s.Rate.History, limits{120, 0, most}, "times that a user may read messages in a minute; 0: any number"),
		number("rate.other", &s.Rate.Other, limits{30, 0, most}, "other commands that a user may give in a minute; 0: any number"),
		number("rest.rate", &s.REST.PerMinute, limits{0, 0, most}, "messages sent, edited and recalled over REST in a minute (LeanCloud: 1800); 0: any number"),
		number("rest.rate-subscribers", &s.REST.Subscribers, limits{0, 0, most}, "messages to all subscribers of services over REST in a minute (LeanCloud: 30); 0: any number"),
		number("rest.rate-broadcasts", &s.REST.Broadcasts, limits{0, 0, most}, "messages to all users over REST in a minute (LeanCloud: 10); 0: any number"),
	}
}

func toggle(name string, at *bool, help string) setting {
	return setting{Setting{settingPrefix + name, "off", "on, off", help}, func(text string) error {
		switch text {
		case "on", "true", "1":
			*at = true
		case "off", "false", "0":
			*at = false
		default:
			return fmt.Errorf("is %q, want on or off", text)
		}
		return nil
	}}
}

const anyOrigin = "any"

func origins(name string, at *string, help string) setting {
	const values = "any, or origins such as https://example.com, separated by spaces"
	return setting{Setting{settingPrefix + name, anyOrigin, values, help}, func(text string) error {
		list := strings.Fields(text)
		if slices.Equal(list, []string{anyOrigin}) {
			*at = ""
			return nil
		}
		for _, o := range list {
			if u, err := url.Parse(o); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o {
				return fmt.Errorf("has %q, want %s", o, values)
			}
		}
		*at = strings.Join(list, " ")
		return nil
	}}
}

type limits struct{ usual, least, most int }

func number(name string, at *int, l limits, help string) setting {
	values := fmt.Sprintf("%d to %d", l.least, l.most)
	return setting{Setting{settingPrefix + name, strconv.Itoa(l.usual), values, help}, func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < l.least || n > l.most {
			return fmt.Errorf("is %q, want a number from %s", text, values)
		}
		*at = n
		return nil
	}}
}

type bounds struct {
	usual       string
	least, most time.Duration
}

// shortly writes a time without the zeros that Go's has: 24h, not 24h0m0s.
func shortly(d time.Duration) string {
	text := d.String()
	if rest, ok := strings.CutSuffix(text, "m0s"); ok {
		text = rest + "m"
	}
	if rest, ok := strings.CutSuffix(text, "h0m"); ok {
		text = rest + "h"
	}
	return text
}

func duration(name string, at *time.Duration, b bounds, help string) setting {
	values := shortly(b.least) + " to " + shortly(b.most)
	return setting{Setting{settingPrefix + name, b.usual, values, help}, func(text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d < b.least || d > b.most {
			return fmt.Errorf("is %q, want a time such as 90s or 24h, from %s", text, values)
		}
		*at = d
		return nil
	}}
}
